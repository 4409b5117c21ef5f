"""Which actor does which ticket: what is late is done by another one as well; who is slow again and again gets none. Pure: times are arguments."""
