"""What nodes tell about themselves: the newest report of each department and a short history."""
