"""`make bench`: compare the Worker with other implementations, its peers, on one machine and in one run.

All Workers run in bare workerd, because the overhead of `wrangler dev` is several times the cost of workerd itself. The
contenders take turns; under load, their order changes every round. Each ratio compares turns of the same round; the
results are the median, minimum and maximum of all rounds.
"""
