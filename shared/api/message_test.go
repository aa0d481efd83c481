package api_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"contactcenter/shared/api"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
)

type versions func() (registry.Change, error)

func (v versions) Version(context.Context, string, int64) (registry.Change, error) { return v() }

// R-4.1b: to whom a message was handed over, and to which countries that provider took data then, is shown wherever the
// whole message is: by its GET and in its events.
func TestAWholeMessageShowsWhereItWent(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for _, tt := range []struct {
		name    string
		version int64
		said    registry.Change
		err     error
		want    *api.Transfer
		fails   bool
	}{
		{"nothing before the hand-over", 0, registry.Change{}, down, nil, false},
		{"the countries of then", 3, registry.Change{Entry: registry.Entry{TransferCountries: []string{"CY", "DE"}}}, nil, &api.Transfer{ProviderID: "edna", ProviderVersion: 3, Countries: []string{"CY", "DE"}}, false},
		{"no countries of an entry from before versions were kept", 1, registry.Change{}, registry.ErrNotFound, &api.Transfer{ProviderID: "edna", ProviderVersion: 1}, false},
		{"nothing at all while the registry can't be read", 1, registry.Change{}, down, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := message.Message{Direction: message.Outbound, ProviderID: "edna", ProviderVersion: tt.version, Outcome: message.Queued}
			got, err := api.WholeMessageOf(t.Context(), m, api.InLine, versions(func() (registry.Change, error) { return tt.said, tt.err }))
			if tt.fails != (err != nil) {
				t.Fatalf("error %v", err)
			}
			if !reflect.DeepEqual(got.Transfer, tt.want) {
				t.Errorf("the transfer is %+v, want %+v", got.Transfer, tt.want)
			}
		})
	}
}
