// Command webhook takes the callbacks of Communication Providers: what became of messages, and what recipients wrote.
package main

func main() {}
