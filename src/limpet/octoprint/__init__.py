"""What of an OctoPrint is taken over, and what is left and why. Pure: the contents of its files in, a plan out."""
