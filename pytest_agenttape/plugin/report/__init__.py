"""What a run says about its cassettes at its end."""
