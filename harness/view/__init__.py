"""``harness view``: a local web page to look at runs, versions and trainings, and to work on cases and pairs.

    guard     who may ask: token, host, origin; the headers of every answer
    reading   what the pages show, read from the store, the case files and the trainings' folders
    live      what is under way: results of a running suite, steps of a training
    edits     changes of case files, pairs and versions, each of which can be undone
    pages     the pages around the run's page: runs, versions, trainings
    app       routes

The run's page is the report's own (:mod:`harness.reports.page`). It listens on the loopback interface only.
"""
