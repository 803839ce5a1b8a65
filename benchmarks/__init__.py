"""The benchmark: the same mosaic by `qmosaic`, by the routes a user would take instead, and bare.

``python -m benchmarks compare`` runs it; ``python -m benchmarks report results.json`` draws the
results again.

=============  ==================================================================================
room           what lives there
=============  ==================================================================================
`workloads`    the synthetic collections: seeded, made once, kept on disk
`oracle`       the pixels that are right, by plain loops; shares nothing with `qmosaic`
`routes`       one small function for each way to make the mosaic
`limit`        bare reads, decompression and writing, with none of the libraries
`_worker`      one run in a process of its own; prints one line of JSON
`compare`      the rounds: every route in turn, then the next round
`cluster`      one worker process against two
`survive`      a job on a cluster that is hurt and finishes all the same
`stores`       obstore against s3fs
`figures`      the weight of a graph, and hidden latency
`report`       ratios, the table and the figure, from the JSON alone
=============  ==================================================================================
"""
