"""`loader inspect --verify`: all files read, or all samples made, beforehand."""
