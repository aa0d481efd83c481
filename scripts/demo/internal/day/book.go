package day

import (
	"maps"
	"slices"
	"sync"
	"time"
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
	// turns are the messages to each person, in order.
	turns map[int][]string
	// seen is how much of what a person wrote was marked read, agent whose task the conversation was made.
	seen  map[int]int
	agent map[int]string
	// late are how long it took until the CRM showed what somebody wrote, where that was long.
	late []time.Duration
	// scheduled are messages that are to go later, by the number of their text.
	scheduled map[int]string
	canceled  int
	// held are messages that were seen to wait, with the reason.
	held map[string]string
}

func newBook() *book {
	return &book{
		refused: map[string]int{}, written: map[int]int{}, turns: map[int][]string{}, seen: map[int]int{}, agent: map[int]string{},
		scheduled: map[int]string{}, held: map[string]string{},
	}
}

// accept notes a message that was answered 202.
func (b *book) accept(s step, person, no int, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted = append(b.accepted, id)
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

// person is what is known of somebody: the last message to them, and how often they wrote.
func (b *book) person(n int) (last string, written int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if turns := b.turns[n]; len(turns) > 0 {
		last = turns[len(turns)-1]
	}
	return last, b.written[n]
}

// attend notes that an agent took a conversation and marked what was written so far read, and how long the CRM took to show it.
func (b *book) attend(person, written int, agent string, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[person], b.agent[person] = written, agent
	if took > slow {
		b.late = append(b.late, took)
	}
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
	late     []time.Duration
	// tasks are the conversations that people wrote in, by person.
	tasks map[int]task
}

// task is a conversation in an account's inbox: how much of it is not read, and whose it is.
type task struct {
	unread int
	agent  string
}

func (b *book) read() notes {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := notes{
		accepted: slices.Clone(b.accepted), refused: maps.Clone(b.refused), broken: slices.Clone(b.broken), replies: b.replies, canceled: b.canceled,
		held: maps.Clone(b.held), late: slices.Clone(b.late), tasks: map[int]task{},
	}
	for person, written := range b.written {
		n.tasks[person] = task{written - b.seen[person], b.agent[person]}
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
