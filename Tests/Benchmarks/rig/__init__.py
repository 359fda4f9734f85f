"""What the benchmark scripts share: processes, servers, proxies, cases, measuring and reporting."""
