package usage_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/usage"
)

// echo answers every update with the same gate, so that only the work of the store itself is measured.
type echo struct {
	usage.DynamoDB
	item map[string]types.AttributeValue
}

func (e echo) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return &dynamodb.UpdateItemOutput{Attributes: e.item}, nil
}

// BenchmarkReserve is the processor time of building one reservation and reading its answer.
func BenchmarkReserve(b *testing.B) {
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("%d messages", n), func(b *testing.B) {
			s, g, terms := benchStore(b, n)
			claim := usage.Claim{Messages: msgs(1, n), Nonce: 1, Gate: g}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Reserve(b.Context(), account, terms, claim); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSettle is the processor time of building one settlement and reading its answer.
func BenchmarkSettle(b *testing.B) {
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("%d messages", n), func(b *testing.B) {
			s, g, _ := benchStore(b, n)
			var list []usage.Settlement
			for _, e := range g.Entries {
				list = append(list, usage.Settlement{Entry: e, GiveBack: true})
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Settle(b.Context(), g, list); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchStore gives a store whose gate always has n messages in flight.
func benchStore(b *testing.B, n int) (*usage.Store, usage.Gate, usage.Terms) {
	b.Helper()
	terms := monthly
	terms.Limit = 1000
	env, c := awstest.New(b), &clock{now: start}
	s := &usage.Store{DB: env.DynamoDB, Table: env.Table(b.Context(), awstest.UsageTable()), Now: c.Now}
	if err := s.Create(b.Context(), account, terms); err != nil {
		b.Fatal(err)
	}
	g, err := s.Read(b.Context(), account, true)
	if err != nil {
		b.Fatal(err)
	}
	if g, err = s.Reserve(b.Context(), account, terms, usage.Claim{Messages: msgs(1, n), Nonce: 1, Gate: g}); err != nil {
		b.Fatal(err)
	}
	out, err := env.DynamoDB.GetItem(b.Context(), &dynamodb.GetItemInput{TableName: &s.Table, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: account}, "sk": &types.AttributeValueMemberS{Value: "gate"},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return &usage.Store{DB: echo{env.DynamoDB, out.Item}, Table: s.Table, Now: c.Now}, g, terms
}
