return 6 * 7
