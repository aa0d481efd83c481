// Package templates keeps what Communication Providers last told of the message templates of a channel's sender, so that
// not every look at them is a call to the provider, and so that they can be shown while the provider can't be reached.
package templates

import (
	"slices"
	"strings"
	"time"

	"contactcenter/shared/provider"
)

// Age is for how long a list is shown without the provider being asked again.
const Age = 60 * time.Second

// List are the templates of a channel's sender.
type List struct {
	// Templates by name, language and id.
	Templates []provider.Template
	// SyncedAt is when the provider was asked for them, ChangedAt when it last told that one is another than before; zero:
	// never.
	SyncedAt, ChangedAt time.Time
}

// New makes a list of what a provider told when it was asked at a time.
func New(told []provider.Template, asked time.Time) List {
	l := List{Templates: slices.Clone(told), SyncedAt: asked}
	slices.SortFunc(l.Templates, func(a, b provider.Template) int { return slices.Compare(place(a), place(b)) })
	return l
}

// Known reports whether the provider was ever asked.
func (l List) Known() bool { return !l.SyncedAt.IsZero() }

// Fresh reports whether the provider need not be asked again.
func (l List) Fresh(now time.Time) bool {
	return l.Known() && now.Sub(l.SyncedAt) < Age && l.SyncedAt.After(l.ChangedAt)
}

// After gives up to size templates after a place in the list, "" for its beginning, and the place of the last of them, ""
// when there are no more.
func (l List) After(at string, size int) ([]provider.Template, string) {
	rest := l.Templates
	if at != "" {
		from, found := slices.BinarySearchFunc(l.Templates, strings.Split(at, placeSeparator), func(t provider.Template, at []string) int { return slices.Compare(place(t), at) })
		if found {
			from++
		}
		rest = l.Templates[from:]
	}
	if len(rest) <= size {
		return rest, ""
	}
	return rest[:size], strings.Join(place(rest[size-1]), placeSeparator)
}

const placeSeparator = "\x00"

// place is what templates are listed by.
func place(t provider.Template) []string { return []string{t.Name, t.Language, t.ID} }
