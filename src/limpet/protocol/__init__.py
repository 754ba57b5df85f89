"""The printer's language. Pure: no asyncio, clock, files, threads, settings or logging; time is an argument."""
