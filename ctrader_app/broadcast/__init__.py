"""Group names, the messages that cross the channel layer, and the one owned event loop that feeds it."""
