package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
)

const (
	// reachMost bounds how many accounts one request reaches at once. The others follow when their kept terms are 5 s old.
	reachMost  = 1000
	reachPage  = 200
	reachAside = 8
)

// reachMembers brings a plan's terms to the gates of its accounts. What fails is noted: those accounts follow within
// seconds all the same.
func (h *Handler) reachMembers(r *http.Request, planID string) {
	members := func(ctx context.Context, p attr.Page) ([]string, string, error) {
		return h.Accounts.Members(ctx, planID, p)
	}
	if err := each(r.Context(), members, h.reach); err != nil {
		api.Note(r.Context(), fmt.Errorf("bring plan to its accounts: %w", err))
	}
}

// reach brings the terms of an account to its gate.
func (h *Handler) reach(ctx context.Context, accountID string) error {
	terms, err := h.Accounts.Terms(ctx, accountID, true)
	if err != nil {
		return err
	}
	return h.Gates.Bring(ctx, accountID, terms)
}

// each does something for the first reachMost members of a list, some at once. It goes on after a failure, and returns
// the first.
func each(ctx context.Context, list func(context.Context, attr.Page) ([]string, string, error), do func(context.Context, string) error) error {
	var g errgroup.Group
	g.SetLimit(reachAside)
	page := attr.Page{Size: reachPage}
	for n := 0; n < reachMost; {
		members, next, err := list(ctx, page)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		for _, m := range members {
			g.Go(func() error { return do(ctx, m) })
		}
		n += len(members)
		if page.Token = next; next == "" {
			break
		}
	}
	return g.Wait()
}
