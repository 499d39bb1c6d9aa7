"""The report: what an auditor asks of the opened records, as JSON and as pages in two languages, made offline."""
