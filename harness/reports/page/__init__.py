"""The page that shows a run's cases: one script and one style sheet for the report file and for ``harness view``.

    data        a report as the plain data that the script reads
    document    the whole page: head, script, style sheet, content security policy
    base.js diff.js list.js detail.js page.js    the script, in this order
    edit.js live.js                              what only ``harness view`` has: editing, and runs under way
    page.css                                     the style sheet

The figures, tables and charts above the cases are made in Python and are readable without a script.
"""
