package udp

// OpenPlain opens a socket as it is opened where the system has no batches.
var OpenPlain = openPlain
