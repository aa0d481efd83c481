package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"contactcenter/shared/api"
)

// Contract is the OpenAPI document, to hold answers against.
type Contract struct {
	document *openapi3.T
}

// TheContract reads the document that GET /v1/openapi.json serves, once.
var TheContract = sync.OnceValues(func() (*Contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(api.DocumentJSON())
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	for _, s := range document.Components.Schemas {
		closeSchema(s, map[*openapi3.Schema]bool{})
	}
	return &Contract{document}, nil
})

// closeSchema makes fields that a schema does not name an error: callers may meet new ones, but tests hold the document
// to be complete.
func closeSchema(r *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	if r == nil || r.Value == nil || seen[r.Value] {
		return
	}
	s := r.Value
	seen[s] = true
	merge(s)
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		no := false
		s.AdditionalProperties.Has = &no
	}
	for _, p := range s.Properties {
		closeSchema(p, seen)
	}
	for _, p := range slices.Concat(s.OneOf, s.AnyOf) {
		closeSchema(p, seen)
	}
	closeSchema(s.Items, seen)
	closeSchema(s.AdditionalProperties.Schema, seen)
}

// merge makes one schema of those of an allOf: closed, each of them would forbid the fields of the others.
func merge(s *openapi3.Schema) {
	for _, part := range s.AllOf {
		merge(part.Value)
		if s.Properties == nil {
			s.Properties = openapi3.Schemas{}
		}
		maps.Copy(s.Properties, part.Value.Properties)
		s.Required = append(s.Required, part.Value.Required...)
	}
	s.AllOf = nil
}

// Check says where an answer differs from the document; path is without its query. An answer to a request that no
// operation takes must be a problem, or the gateway's own.
func (c *Contract) Check(method, path string, status int, header http.Header, body []byte) error {
	response, err := c.response(method, path, status)
	if err != nil {
		return err
	}
	if method == http.MethodHead {
		return nil
	}
	if len(response.Content) == 0 {
		if len(strings.TrimSpace(string(body))) > 0 {
			return fmt.Errorf("has a body where the document has none")
		}
		return nil
	}
	if response.Content["*/*"] != nil {
		return nil
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("Content-Type %q: %w", header.Get("Content-Type"), err)
	}
	media := response.Content.Get(kind)
	if media == nil {
		return fmt.Errorf("Content-Type %s is not in the document", kind)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	if err := visit(media.Schema.Value, v); err != nil {
		return err
	}
	return checkCode(response, kind, v)
}

func visit(s *openapi3.Schema, v any) error {
	exact := openapi3.NewRegexpFormatValidator(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	return s.VisitJSON(v, openapi3.VisitAsResponse(), openapi3.MultiErrors(), openapi3.EnableFormatValidation(), openapi3.WithStringFormatValidator("date-time", exact))
}

// checkCode looks for a problem's code among those of the response.
func checkCode(r *openapi3.Response, kind string, v any) error {
	codes, ok := r.Extensions["x-codes"].([]any)
	if !ok || kind != "application/problem+json" {
		return nil
	}
	code := v.(map[string]any)["code"]
	if !slices.Contains(codes, code) {
		return fmt.Errorf("code %v is not among those of the operation, %v: name it in its x-problems", code, codes)
	}
	return nil
}

func (c *Contract) response(method, path string, status int) (*openapi3.Response, error) {
	op := c.operation(method, path)
	if op == nil {
		return c.nowhere(status)
	}
	r := op.Responses.Value(strconv.Itoa(status))
	if r == nil {
		return nil, fmt.Errorf("status %d is not in the document's operation %s: name its code in x-problems", status, op.OperationID)
	}
	return r.Value, nil
}

// nowhere is what a request gets that no operation takes.
func (c *Contract) nowhere(status int) (*openapi3.Response, error) {
	if status != http.StatusNotFound && status != http.StatusMethodNotAllowed && status != http.StatusNoContent && status != http.StatusUnauthorized {
		return nil, fmt.Errorf("status %d for a request that is no operation of the document", status)
	}
	if status == http.StatusNoContent { // CORS
		return openapi3.NewResponse(), nil
	}
	schemas := c.document.Components.Schemas
	return &openapi3.Response{Content: openapi3.Content{
		"application/problem+json": {Schema: schemas["Problem"]}, "application/json": {Schema: schemas["GatewayAnswer"]},
	}}, nil
}

// operation finds the operation of a request: of paths that match, the one with the most words of its own.
func (c *Contract) operation(method, path string) *openapi3.Operation {
	var found *openapi3.Operation
	best := -1
	for _, template := range c.document.Paths.InMatchingOrder() {
		words, ok := matches(template, path)
		if op := c.document.Paths.Value(template).GetOperation(method); ok && op != nil && words > best {
			found, best = op, words
		}
	}
	return found
}

// matches tells whether a path is one of a template, and how many segments of it are the template's own.
func matches(template, path string) (words int, ok bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return 0, false
	}
	for i, w := range want {
		switch {
		case strings.HasPrefix(w, "{"):
			if got[i] == "" {
				return 0, false
			}
		case w != got[i]:
			return 0, false
		default:
			words++
		}
	}
	return words, true
}
