"""The PTransforms and DoFns of the graph, one file for each box."""
