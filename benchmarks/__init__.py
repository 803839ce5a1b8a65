"""The benchmark: the same mosaic by `qmosaic`, by the routes a user would take instead, and bare.

``pip install -e . --group bench && python -m benchmarks compare`` runs it, with pip 25.1 or later:
80 minutes, 4 GB of disk. Each other figure has its command below; ``python -m benchmarks -h`` lists
them. A module imports only modules below it.

============= ==================================================================================
``figures``   the weight of a graph, and hidden latency
``stores``    obstore against s3fs
``imports``   what imports and opening a store take of memory and time
``survive``   a job on a cluster that is hurt and finishes all the same
``cluster``   one worker process against two
``report``    ratios, the table and the figure, from the JSON alone
``compare``   the rounds: every route in turn, then the next round
``_worker``   one run in a process of its own; prints one line of JSON
``routes``    one small function for each way to make the mosaic
``limit``     bare reads, decompression and writing, with none of the libraries
``job``       what one run is given: where to read, where to write
``oracle``    the pixels that are right, by plain loops; shares nothing with `qmosaic`
``workloads`` the synthetic collections: seeded, made once, kept on disk
``_program``  one program of ``imports``, step by step
============= ==================================================================================

What is compared
----------------
60 images of 2048 × 2048 pixels in chunks of one image × 512 × 512, four bands of uint16 and what
the quality is made of, compressed with Blosc-zstd, from the file cache. A mosaic has all bands of
the collection in their dtypes, the quality included, and is written to a Zarr store. Each route is
written as someone who knows that library would write it and runs in a process of its own, the
routes in turn, so that what else the machine does hits all alike; imports stand before the clock.
Every pixel is compared with the oracle. Times and ratios are medians, with the lowest and highest
round behind them; a ratio is taken within a round. ``compare --workload NAME --route NAME`` runs a
part of it, ``report`` puts parts together and draws the table and the figure.

What was aimed at, and what came of it
--------------------------------------
``python -m benchmarks report benchmarks/results.json`` prints these beside the aims; its first
lines name the machine (two cores) and the versions.

- Wall time, against the fastest other route that is right: *cloudy* 5.1 times (aim: 4),
  *footprints* 4.0 (4), *greenest* 1.8 (1.5), *random*, where nothing can be left out, 1.5 (1).
- Peak memory, against the leanest other route that is right: 1.2 to 1.7 times less (aim: 2). 130 to
  170 MB of ours are the imports, the more, the more backends of xarray are installed; on top of
  them it is 1.5 to 2.9 times less.
- Peak memory with 400 images, against 60 on the same map (*tall*, *tall60*): 1.00 times
  (0.92–1.04).
- Wall time, against bare reads, decompression and writing of the same chunks: 3.9 times (*random*)
  to 6.4 times (*footprints*), where 2.5 was aimed at. What remains is the Python part of each chunk
  that is read through xarray and Zarr: larger chunks help, small ones cost as much as large ones.
- Two worker processes with a thread each, against one, on *cloudy*: 1.54 times as fast (1.43–1.74)
  on two cores, where 1.7 was aimed at: client and scheduler need their share
  (``python -m benchmarks cluster``).

Not all rows are of one state: *cloudy* and *greenest* were measured later than *footprints*,
*random*, *tall*, *tall60* and the two worker processes, which are of a state before
`open_collection` and most scores.

Other figures
-------------
- A score that nothing can beat (``upper_bound=0``) ends the search: of the 4779 chunks of *cloudy*
  645 are read in place of 1463, in 1.4 s in place of 2.0 s
  (``compare --workload cloudy --route qmosaic qmosaic-bound``).
- ``MALLOC_TRIM_THRESHOLD_``, which dask's nanny sets, makes the C library give memory back after
  each chunk: *cloudy* takes 1.5 times as long on a cluster. ``cluster`` runs with it,
  ``cluster --keep-memory`` without it; outside the benchmark write, before the cluster is made,
  ``dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1}})``.
- s3fs takes 2.3 times as long as obstore for small chunks (``stores``).
- 60 images on a store that answers after 20 ms are decided in 0.1 to 0.5 s, where one request after
  the other takes 1.2 s (``latency``).
- A block of a mosaic of 20 000 blocks × 100 images × 4 bands travels as 400 bytes and takes 0.02 ms
  of the client's time (``graph``).
- Importing `qmosaic` and opening a store takes 6.5 MB more than importing xarray, dask and zarr;
  1.6 MB of it are what ``xarray.open_zarr`` takes by itself. tensorstore takes 24.5 MB
  (``imports``).
- A job whose worker and client are killed ends with the bytes of one without trouble (``survive``).
"""
