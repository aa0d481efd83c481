package localsqs

// indexedHeap is a binary min-heap whose items know their own position, so that any of them can be removed or moved in
// O(log n). moved is told an item's new position, and -1 when it has left.
type indexedHeap[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(item T, position int)
}

func (h *indexedHeap[T]) len() int { return len(h.items) }

// min returns the smallest item, or the zero value of an empty heap.
func (h *indexedHeap[T]) min() T {
	if len(h.items) == 0 {
		var none T
		return none
	}
	return h.items[0]
}

func (h *indexedHeap[T]) push(item T) {
	h.items = append(h.items, item)
	h.moved(item, len(h.items)-1)
	h.up(len(h.items) - 1)
}

func (h *indexedHeap[T]) remove(position int) {
	last := len(h.items) - 1
	h.swap(position, last)
	var none T
	item := h.items[last]
	h.items[last] = none
	h.items = h.items[:last]
	h.moved(item, -1)
	if position < last {
		h.fix(position)
	}
}

func (h *indexedHeap[T]) fix(position int) {
	if !h.down(position) {
		h.up(position)
	}
}

func (h *indexedHeap[T]) swap(i, j int) {
	if i == j {
		return
	}
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.moved(h.items[i], i)
	h.moved(h.items[j], j)
}

func (h *indexedHeap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *indexedHeap[T]) down(i int) bool {
	start := i
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], h.items[i]) {
			break
		}
		h.swap(i, child)
		i = child
	}
	return i > start
}
