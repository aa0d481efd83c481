package localdynamo

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// row is an item, or its projection, in a table's or an index's order. The keys are in the sortable form of keyText.
type row struct {
	hash, sort string
	// tableHash and tableSort tell index rows with equal keys apart; a table's rows don't need them.
	tableHash, tableSort string
	item                 item
	bytes                int
}

func (r *row) compare(o *row) int {
	return cmp.Or(strings.Compare(r.sort, o.sort), strings.Compare(r.tableHash, o.tableHash), strings.Compare(r.tableSort, o.tableSort))
}

func (r *row) sameKey(o *row) bool { return r.hash == o.hash && r.compare(o) == 0 }

// partition is the rows of one hash key in the order of their sort keys.
type partition struct {
	hash string
	rows []*row
}

func (p *partition) find(r *row) (int, bool) {
	return slices.BinarySearchFunc(p.rows, r, (*row).compare)
}

// store is a table's or an index's rows.
type store struct {
	partitions map[string]*partition
	order      []*partition // by hash
	count      int
	bytes      int
}

func newStore() *store { return &store{partitions: map[string]*partition{}} }

func (s *store) position(hash string) int {
	return sort.Search(len(s.order), func(i int) bool { return s.order[i].hash >= hash })
}

// get returns the row with r's key, or nil.
func (s *store) get(r *row) *row {
	p := s.partitions[r.hash]
	if p == nil {
		return nil
	}
	if i, ok := p.find(r); ok {
		return p.rows[i]
	}
	return nil
}

func (s *store) put(r *row) {
	p := s.partitions[r.hash]
	if p == nil {
		p = &partition{hash: r.hash}
		s.partitions[r.hash] = p
		s.order = slices.Insert(s.order, s.position(r.hash), p)
	}
	i, ok := p.find(r)
	s.bytes += r.bytes
	if ok {
		s.bytes -= p.rows[i].bytes
		p.rows[i] = r
		return
	}
	p.rows = slices.Insert(p.rows, i, r)
	s.count++
}

func (s *store) remove(r *row) {
	p := s.partitions[r.hash]
	if p == nil {
		return
	}
	i, ok := p.find(r)
	if !ok {
		return
	}
	s.count--
	s.bytes -= p.rows[i].bytes
	p.rows = slices.Delete(p.rows, i, i+1)
	if len(p.rows) == 0 {
		delete(s.partitions, r.hash)
		at := s.position(r.hash)
		s.order = slices.Delete(s.order, at, at+1)
	}
}
