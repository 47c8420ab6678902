"""From a plan to weights in host memory, one module a library. Imported in the forward thread alone, with torch."""
