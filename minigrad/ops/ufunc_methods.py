"""Methods of ufuncs: reduce, accumulate, outer, at."""
