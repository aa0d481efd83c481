package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// listQueries bounds how many queries one page of a filtered list takes. A page that is not full then has a token.
const listQueries = 10

// madeAtOnce bounds how many recipients are made side by side.
const madeAtOnce = 8

// GetMessage shows a message.
func (h *Handler) GetMessage(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := reading(r)
	defer cancel()
	m, err := h.find(ctx, r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	where, err := h.where(ctx, m.AccountID, m)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	v, err := api.WholeMessageOf(ctx, m, where(m), h.Providers)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, v)
}

// find reads the message that the path names.
func (h *Handler) find(ctx context.Context, r *http.Request) (message.Message, error) {
	mid, err := id.ParseMessage(r.PathValue("id"))
	if err != nil {
		return message.Message{}, api.NewProblem(api.CodeNotFound)
	}
	m, err := h.Messages.Get(ctx, api.PrincipalFrom(ctx).AccountID, mid)
	if errors.Is(err, message.ErrNotFound) {
		return message.Message{}, api.NewProblem(api.CodeNotFound)
	}
	if err != nil {
		return message.Message{}, api.TryAgain(r, err)
	}
	return m, nil
}

// where tells where queued messages are: in a dispatcher's hands, or waiting for what keeps them from going, a restriction or a
// provider that is switched off or can't be reached, whether their turn to be set aside has come or not. Nothing is read for it unless one of them
// is queued.
func (h *Handler) where(ctx context.Context, accountID string, list ...message.Message) (func(message.Message) api.Place, error) {
	off := map[string]bool{}
	var to []string
	var ways []health.Subject
	for _, m := range list {
		if m.Status() != message.Queued || m.Scheduled(h.Now()) {
			continue
		}
		to = append(to, m.Address)
		ways = append(ways, health.OfProvider(m.ProviderID), health.OfChannel(m.ChannelID))
		if _, asked := off[m.ProviderID]; asked {
			continue
		}
		e, err := h.Providers.Get(ctx, m.ProviderID)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, err
		}
		off[m.ProviderID] = err == nil && e.Status == registry.Disabled
	}
	now := h.Now()
	if len(to) == 0 {
		return func(m message.Message) api.Place { return due(m, now) }, nil
	}
	g, st, err := h.standing(ctx, accountID, func() (usage.Gate, error) { return h.Gates.Read(ctx, accountID, false) })
	if err != nil {
		return nil, err
	}
	var recipients map[string]string
	if st.Restrictions.OfRecipients() {
		if recipients, err = h.Recipients.Of(ctx, accountID, to...); err != nil {
			return nil, err
		}
	}
	healths, err := h.Health.States(ctx, ways...)
	if err != nil {
		return nil, err
	}
	return func(m message.Message) api.Place {
		if m.Scheduled(now) {
			return api.NotDue
		}
		e, ok := g.Entries[m.ID.Unique]
		if ok && e.Message == m.ID && e.Counts() && now.Before(e.Expires) {
			return api.InHand
		}
		if _, blocked := st.Restrictions.Blocking(restriction.Way{ProviderID: m.ProviderID, ChannelID: m.ChannelID, RecipientID: recipients[m.Address]}); blocked {
			return api.Blocked
		}
		if off[m.ProviderID] {
			return api.SwitchedOff
		}
		if healths[health.OfProvider(m.ProviderID)].State == health.Outage || healths[health.OfChannel(m.ChannelID)].State == health.Outage {
			return api.Unreachable
		}
		return api.InLine
	}, nil
}

// ListMessages lists the messages of a conversation or of a client_reference, newest first.
func (h *Handler) ListMessages(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := reading(r)
	defer cancel()
	l, err := h.readList(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	page, err := l.page(ctx)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, page)
}

// list is one request for a page of messages.
type list struct {
	*Handler
	accountID               string
	conversation, reference string
	status                  message.Status
	asked                   attr.Page
}

func (h *Handler) readList(r *http.Request) (*list, error) {
	q := api.ReadQuery(r, "conversation_id", "client_reference", "status")
	l := &list{Handler: h, accountID: api.PrincipalFrom(r.Context()).AccountID, reference: q.Get("client_reference"), status: message.Status(q.Get("status"))}
	l.asked = q.Page()
	if s := q.Get("conversation_id"); s != "" {
		var err error
		if l.conversation, err = id.ParseConversation(s); err != nil {
			q.Invalid("conversation_id", "is no id of a conversation")
		}
	} else if l.reference == "" {
		q.Invalid("conversation_id", "is required, unless client_reference is given")
	}
	if utf8.RuneCountInString(l.reference) > maxReference {
		q.Invalid("client_reference", "must have at most 128 characters")
	}
	if l.status != "" && !l.status.Valid() {
		q.Invalid("status", "is no status of a message")
	}
	return l, q.Err()
}

// page reads until the page is full, the list ends, or it has asked often enough. Towards newer messages, each further query
// stands before what was found.
func (l *list) page(ctx context.Context) (api.MessageList, error) {
	out, token, back := api.MessageList{Items: []api.Message{}}, l.asked.Token, message.Newer(l.asked.Token)
	long := 0 // contents
	for n := range listQueries {
		found, older, newer, err := l.query(ctx, attr.Page{Size: l.asked.Size - len(out.Items), Token: token})
		if err != nil {
			return out, err
		}
		where, err := l.where(ctx, l.accountID, found...)
		if err != nil {
			return out, err
		}
		some := make([]api.Message, 0, len(found))
		for _, m := range found {
			if l.wants(m, where(m)) {
				some = append(some, api.MessageOf(m, where(m)))
				if m.External {
					long++
				}
			}
		}
		if back {
			out.Items, out.PreviousPageToken = append(some, out.Items...), newer
		} else {
			out.Items, out.NextPageToken = append(out.Items, some...), older
		}
		if n == 0 {
			out.NextPageToken, out.PreviousPageToken = older, newer
		}
		ended := !back && older == "" || back && len(found) == 0
		if ended || len(out.Items) >= l.asked.Size || long >= message.MaxLong {
			break // the store gives no more than so many long ones at once, and one answer takes no more
		}
		if token = older; back {
			token = newer
		}
	}
	return out, nil
}

// due is the place of a message that only its own time can keep.
func due(m message.Message, now time.Time) api.Place {
	if m.Scheduled(now) {
		return api.NotDue
	}
	return api.InLine
}

func (l *list) query(ctx context.Context, p attr.Page) (found []message.Message, older, newer string, err error) {
	if l.conversation != "" {
		return l.Messages.History(ctx, l.accountID, l.conversation, p)
	}
	found, older, err = l.Messages.ByReference(ctx, l.accountID, l.reference, p)
	return found, older, "", err
}

func (l *list) wants(m message.Message, p api.Place) bool {
	if l.status != "" && api.ShownStatus(m, p) != l.status {
		return false
	}
	return l.reference == "" || m.ClientReference == l.reference
}

// recipientsOf gives the recipients of conversations, by address. One that has none yet gets it here, at the first read,
// so that no message pays for it; one that is being erased gets none.
func (h *Handler) recipientsOf(ctx context.Context, accountID string, list ...message.Conversation) (map[string]string, error) {
	addresses := make([]string, 0, len(list))
	for _, c := range list {
		if c.Address != "" {
			addresses = append(addresses, c.Address)
		}
	}
	found, err := h.Recipients.Of(ctx, accountID, addresses...)
	if err != nil {
		return nil, err
	}
	var (
		mu    sync.Mutex
		group errgroup.Group
	)
	group.SetLimit(madeAtOnce)
	for _, a := range missing(addresses, found) {
		group.Go(func() error {
			made, err := h.Recipients.Ensure(ctx, accountID, a)
			if errors.Is(err, recipient.ErrErasing) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if made != "" {
				found[a] = made
			}
			return err
		})
	}
	return found, group.Wait()
}

// missing gives the addresses that were not found. It is made before any is added.
func missing(addresses []string, found map[string]string) []string {
	var list []string
	for _, a := range addresses {
		if _, ok := found[a]; !ok {
			list = append(list, a)
		}
	}
	return list
}
