package stage

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// queue runs jobs when they are due, on a fixed number of workers. What is due waits while all are busy.
type queue struct {
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	jobs   chan func(context.Context)
	wg     sync.WaitGroup

	mu         sync.Mutex
	heap       dueHeap
	seq        int
	generation int
}

type due struct {
	at  time.Time
	seq int
	run func(context.Context)
}

type dueHeap []due

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(due)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = due{}
	*h = old[:len(old)-1]
	return x
}

func newQueue(workers int) *queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &queue{ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), jobs: make(chan func(context.Context))}
	q.wg.Go(q.pace)
	for range workers {
		q.wg.Go(q.work)
	}
	return q
}

// maxPending bounds what waits: callbacks beyond it are lost, as with a provider that is overwhelmed.
const maxPending = 500_000

// after runs a job once d has passed, unless the queue is cleared or closed first.
func (q *queue) after(d time.Duration, run func(context.Context)) {
	q.mu.Lock()
	if len(q.heap) >= maxPending {
		q.mu.Unlock()
		return
	}
	q.seq++
	heap.Push(&q.heap, due{time.Now().Add(d), q.seq, run})
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// clear forgets all that is not yet under way.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heap = nil
	q.generation++
}

// current tells whether the queue has not been cleared since then.
func (q *queue) current(generation int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.generation == generation
}

func (q *queue) now() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.generation
}

func (q *queue) pace() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		q.mu.Lock()
		next := time.Hour
		var job func(context.Context)
		if len(q.heap) > 0 {
			if next = time.Until(q.heap[0].at); next <= 0 {
				job = heap.Pop(&q.heap).(due).run
			}
		}
		q.mu.Unlock()
		if job != nil {
			select {
			case q.jobs <- job:
				continue
			case <-q.ctx.Done():
				return
			}
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-q.ctx.Done():
			return
		}
	}
}

func (q *queue) work() {
	for {
		select {
		case job := <-q.jobs:
			job(q.ctx)
		case <-q.ctx.Done():
			return
		}
	}
}

func (q *queue) close() {
	q.cancel()
	q.wg.Wait()
}
