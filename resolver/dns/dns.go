// Package dns answers for identifiers over DNS and asks for them: the server wraps
// a Resolver, the client is one.
package dns
