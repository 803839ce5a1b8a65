"""The rules of a quality mosaic, a file for each rule or group of rules.

=== ======================================= =========================
1   the winner gives all bands of a pixel   `test_winner`
2   a masked quality never wins             `test_masked_quality`
3   what stands where there is no candidate `test_masked_quality`
4   thresholds                              `test_thresholds`
5   ties                                    `test_ties`
6   bands that are masked in the winner     `test_masked_bands`
7   dtypes are kept, integers are exact     `test_dtypes`
7   scores that are packed integers         `test_packed_quality`
8   attributes, coordinates, encodings      `test_metadata`
9   the input is kept, nothing is computed  `test_deferred`
10  in memory as in chunks                  `test_deferred`
11  chunks and schedulers do not matter     `test_chunking`
    images close to the best, reduced       `test_within`
    the image closest to the median         `test_medoid`
    bad input                               `test_bad_input`
    all together, on random collections     `test_random_collections`
    where a pixel comes from                `test_provenance`
    the n best images of a pixel            `test_best_images`
    several quality bands                   `test_lexicographic`
    a mosaic for each period                `test_period_argument`
    bad input for these                     `test_bad_choices`
=== ======================================= =========================

Each file states its rules. What is right is said by hand, or by `tests.support.oracle`: a loop over
pixels that shares nothing with the package.
"""
