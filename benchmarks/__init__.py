"""The benchmark: the same mosaic by `qmosaic`, by the routes a user would take instead, and bare.

``pip install -e . --group bench && python -m benchmarks compare`` runs it, with pip 25.1 or later:
80 minutes, 4 GB of disk. Each other figure has its command below; ``python -m benchmarks -h`` lists
them. A module imports only modules below it.

============= ==================================================================================
``figures``   the weight of a graph, and hidden latency
``stores``    obstore against s3fs
``scripts``   scripts for Earth Engine: tasks, and chunks that are read
``seams``     neighbours that come from different images, and what fewer of them cost
``imports``   what imports and opening a store take of memory and time
``survive``   a job on a cluster that is hurt and finishes all the same
``cluster``   workers' processes and threads, with memory kept and given back
``shapes``    the same collection in many shapes: other chunks, cuts, qualities, layouts
``beyond``    provenance, the best few, months, an update: each against the plain mosaic
``profiling`` where the time of a route goes, module by module
``report``    ratios, the table and the figure, from the JSON alone
``compare``   the rounds: every route in turn, then the next round
``_worker``   one run in a process of its own; prints one line of JSON
``counting``  the chunk files that a run opens, told by the kernel
``forms``     the collection in each of these shapes
``questions`` what is asked beyond the plain mosaic: by `qmosaic`, and by hand
``routes``    one small function for each way to make the mosaic
``bare``      decide, sort, take, write: a bare loop over tensorstore
``limit``     bare reads, decompression and writing, with none of the libraries
``relaid``    stores of the same images in other layouts
``truths``    the pixels that are right for each shape, by plain numpy
``answers``   the pixels that are right for each question, by plain numpy
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
``python -m benchmarks report benchmarks/results.json`` ends with these medians, with the aims in
brackets; its first lines name the machine and the versions. Faster: than the fastest other route
that is right, of all and of those that open the collection as it is stored. Less memory: on top of
the imports, than the leanest other route that is right. The limit is bare reads, decompression and
writing of the same chunks; the bare loop decides and takes as well, so that what the engine costs
is what remains. ::

    workload    times faster  as stored  times less memory   × the limit  × the bare loop
    cloudy       3.30 (≥ 12)      10.51         1.80 (≥ 4)  2.31 (≤ 1.7)             1.33
    greenest      1.60 (≥ 4)       3.47         1.35 (≥ 4)    2.23 (≤ 2)             1.23
    random        1.17 (≥ 4)       3.53         1.60 (≥ 4)    1.69 (≤ 2)             1.11
    footprints    2.54 (≥ 9)       7.61         1.78 (≥ 4)    3.06 (≤ 2)             1.37
    tall         7.93 (≥ 25)      22.28         2.40 (≥ 4)    2.07 (≤ 2)             1.26
    tall60              2.75       7.38               2.54          2.74             1.56
    tall / tall60: peak memory 1.01, less the imports 1.05 (aim: 1)

The routes named ``+whole`` and ``+zarrs`` open all images of a block as one chunk, which spares
them a task for each chunk, and lets zarrs decode in parallel. The others open the collection as
stored, as `qmosaic` does. ``compare --rounds 5 --few 2``, by which this was measured, gives routes
that are far from the fastest peer two rounds; the table says how many each route had. Without
eager, satpy and read-once, which are slower than the others, it takes 25 minutes.

Beyond the plain mosaic
-----------------------
``python -m benchmarks beyond`` asks for more than the plain mosaic, and makes that in the same
rounds. Times and CPU seconds are ratios to it, medians of those of each round, or to the row that
is named under "of". "+ writing" leaves out what it costs to write the further arrays, which is
measured apart, from memory. By hand is the same in xarray, the same pixels, over ours; one round
of it (``beyond --by-hand 3`` for three, 0 for none; ``beyond --rows best --workload cloudy`` for a
part). ::

    workload, asked                       × time  × CPU     aim               of  by hand  its CPU
    cloudy, provenance=True                 1.20   1.14  ≤ 1.15            plain     9.21     7.72
    cloudy, best_images(n=5)                2.81   3.07     ≤ 3            plain     5.57     4.99
    cloudy, period="MS", a year             2.79   2.99   ≤ 1.3  plain + writing     3.37     2.42
    cloudy, to_zarr(updatable=True)         1.24   1.17                    plain
    cloudy, update, with 1 of the images    0.27   0.19  ≤ 0.15             anew     3.77     3.97

A year of months reads each image that wins anything in its month, the year as a whole only those
that win in the year: of *cloudy* that is a third of the chunks, of *random* all of them. An update
is compared with the same mosaic made anew, updatable; most of its time goes into planning, which
does not depend on the size of the map.

Other figures
-------------
- A score that nothing can beat (``upper_bound=0``) ends the search: of the 4779 chunks of *cloudy*
  645 are read in place of 1463, in 0.7 s in place of 0.9 s
  (``compare --workload cloudy --route qmosaic qmosaic-bound``).
- ``MALLOC_TRIM_THRESHOLD_``, which dask's nanny sets, makes the C library give memory back after
  each chunk: *cloudy* takes 1.4 to 1.8 times as long on a cluster. ``cluster`` has clusters of one
  process, of two, and of one with two threads, with it and without; outside the benchmark write,
  before the cluster is made,
  ``dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1}})``.
- s3fs takes 2.3 times as long as obstore for small chunks (``stores``).
- 60 images on a store that answers after 20 ms are decided in 0.1 to 0.3 s, where one request after
  the other takes 1.2 s; a mosaic of five bands on 16 blocks, of which every image wins some, is
  written in 5.3 s in place of 96 s (``latency``).
- A block of a mosaic of 20 000 blocks × 100 images × 4 bands travels as 400 bytes and takes 0.02 ms
  of the client's time (``graph``).
- Importing `qmosaic` and opening a store takes 7.0 MB more than importing xarray, dask and zarr;
  1.6 MB of it are what ``xarray.open_zarr`` takes by itself. tensorstore takes 22 to 25 MB
  (``imports``).
- Where the time of a route goes, module by module and with the threads that wait: ``profile``
  (``profile --workload NAME --route NAME``).
- The same mosaic from a collection in other shapes: rechunked, cut, opened in other chunks,
  smoothed, shuffled, a store an image, and so on. For each of them ``shapes`` runs `qmosaic` and
  the hand-written route in turn, checks all pixels, counts tasks and chunks that are read, and says
  how blocks and bands come. ``shapes --rows stored cut --rounds 3`` runs some of them;
  ``shapes --quick`` leaves the hand-written route out. One round of 14 of them: 0.9 to 3.2 times
  as long as stored, 3.8 to 25 times less than by hand; 12 images that are persisted take 1.1 times
  as long as by hand.
- Neighbours from different images, on the real series of ``qmosaic demo``: 33 % of all pairs where
  the greenest clear pixels are taken as they are, 14 % with ``smooth=50``, 11 % with
  ``scene_bonus=0.1``, whose mean NDVI is 0.918 in place of 0.920 (``seams``, which draws a figure
  and needs the extras ``demo`` and ``scores``).
- A job whose worker and client are killed ends with the bytes of one without trouble (``survive``).
"""
