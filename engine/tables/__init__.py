"""Tables: rows by key (products, shops, prices) that steps of journeys look up.

What a table is made of is a definition of kind `table`, which people write; which rows it has now
is one of kind `rows`, which an upload makes: the hash of a file that lies in the store before the
definition is applied. So a shard changes to new rows at a defined point of its journal, and a
replay sees the rows that it saw. Definitions are small, files are large, and each node has each
file once: its hosts read them by memory map; see `actors.store.tables`.
"""
