"""What a client may send: the form of every event, and the words in which others are refused."""
