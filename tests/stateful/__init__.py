"""Random histories of writes, against rules that hold in all of them."""
