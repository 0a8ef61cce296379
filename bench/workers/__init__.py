"""`make bench`: the Worker against its peers, all of them in bare workerd, on one machine and in one run.

`wrangler dev` costs several times what workerd itself does, so that it would hide what is measured. Contenders take
turns, in an order that changes every round. Each round gives one ratio; reported are their median and spread.
"""
