"""Speed, latency and memory of the queue on a real Redis, beside other Python queues in the same run."""
