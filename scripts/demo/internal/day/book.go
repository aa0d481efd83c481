package day

import (
	"maps"
	"slices"
	"sync"
)

// book is what an account's agents noted down: what they asked for, and what they were answered. It is safe for concurrent use.
type book struct {
	mu sync.Mutex
	// accepted are the messages that were answered 202, in the order of the answers.
	accepted []string
	// refused counts by the API's code what was refused at once.
	refused map[string]int
	// broken are calls that got no answer that says what it is.
	broken []string
	// written counts what people wrote to the account, by person and altogether.
	written map[int]int
	replies int
	// conversations and last are the conversation with each person and its last message, turns all that were sent to it in order.
	conversations, last map[int]string
	turns               map[int][]string
	// scheduled are messages that are to go later, by the number of their text.
	scheduled map[int]string
	canceled  int
	// held are messages that were seen to wait, with the reason.
	held map[string]string
}

func newBook() *book {
	return &book{
		refused: map[string]int{}, written: map[int]int{}, conversations: map[int]string{}, last: map[int]string{}, turns: map[int][]string{},
		scheduled: map[int]string{}, held: map[string]string{},
	}
}

// accept notes a message that was answered 202.
func (b *book) accept(s step, person, no int, id, conversation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted = append(b.accepted, id)
	b.conversations[person], b.last[person] = conversation, id
	if s.kind == later {
		b.scheduled[no] = id // its turn is another
		return
	}
	b.turns[person] = append(b.turns[person], id)
}

func (b *book) refuse(code string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused[code]++
}

func (b *book) fail(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = append(b.broken, what)
}

// hear notes that somebody wrote.
func (b *book) hear(person int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.written[person]++
	b.replies++
}

func (b *book) cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.canceled++
}

// wait notes that a message was seen to wait.
func (b *book) wait(id, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[id] = reason
}

// person is what is known of somebody: the conversation, its last message of the account's own, and how often they wrote.
func (b *book) person(n int) (conversation, last string, written int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conversations[n], b.last[n], b.written[n]
}

func (b *book) later(no int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.scheduled[no]
}

// totals are the figures that the display shows.
func (b *book) totals() (accepted, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.accepted), sum(b.refused)
}

// notes is a copy of what a book says.
type notes struct {
	accepted []string
	refused  map[string]int
	broken   []string
	replies  int
	canceled int
	turns    [][]string
	held     map[string]string
}

func (b *book) read() notes {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := notes{
		accepted: slices.Clone(b.accepted), refused: maps.Clone(b.refused), broken: slices.Clone(b.broken), replies: b.replies, canceled: b.canceled,
		held: maps.Clone(b.held),
	}
	for _, person := range slices.Sorted(maps.Keys(b.turns)) {
		n.turns = append(n.turns, slices.Clone(b.turns[person]))
	}
	return n
}

func sum(counted map[string]int) int {
	n := 0
	for _, c := range counted {
		n += c
	}
	return n
}
