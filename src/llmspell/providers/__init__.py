"""Services that run models: each a dialect (functions of values, no I/O), one door to the network, one manager."""
