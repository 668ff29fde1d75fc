"""The course behind its notebooks: `claims`, the ledger of what the papers say; `exercises`, with
the slips that people make; and `notebooks`, which builds the notebooks.
"""
