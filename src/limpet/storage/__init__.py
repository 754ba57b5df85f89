"""The files to print: a folder of plain files that a person can also fill by hand."""
