"""The stream worker's parts: two queues, two policies."""
