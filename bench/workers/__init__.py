"""`make bench`: compare the Worker with its peers, all in bare workerd, on one machine and in one run.

`wrangler dev` is not used: its overhead is several times the cost of workerd itself. Contenders take turns, in an
order that changes every round. Each round gives one ratio; the results are the median, minimum and maximum of the
ratios.
"""
