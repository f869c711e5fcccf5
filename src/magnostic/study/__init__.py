"""Studies: a grid of recipes on one data set, carried out, resumed and reported together."""
