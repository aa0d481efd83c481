package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"contactcenter/shared/api"
)

// problem is one code that an operation answers with, and under which status.
type problem struct {
	status int
	code   api.Code
}

// byGateway are the statuses that API Gateway answers by itself, in its own form.
func byGateway(status int) bool {
	return slices.Contains([]int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge,
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}, status)
}

// expand writes out what the YAML says in short: each operation's problems, which x-problems names beyond those that
// follow from its form, become a response for each status; and the codes become a table. An operation's default
// response, which the generated routes need, goes: every status is named.
func expand(document map[string]any) error {
	components, ok := document["components"].(map[string]any)
	if !ok {
		return fmt.Errorf("the document has no components")
	}
	responses := map[string]any{}
	paths, _ := document["paths"].(map[string]any)
	for path, v := range paths {
		item, _ := v.(map[string]any)
		for method, v := range item {
			op, ok := v.(map[string]any)
			if !ok {
				continue // the path's parameters
			}
			list, err := problemsOf(method, path, op)
			if err != nil {
				return fmt.Errorf("%s %s: %w", method, path, err)
			}
			answers, _ := op["responses"].(map[string]any)
			delete(answers, "default")
			delete(op, "x-problems")
			for status, codes := range byStatus(list) {
				name := responseName(status, codes)
				responses[name] = response(status, codes)
				answers[strconv.Itoa(status)] = map[string]any{"$ref": "#/components/responses/" + name}
			}
		}
	}
	components["responses"] = responses
	document["x-problem-codes"] = codeTable()
	return nil
}

// problemsOf are the problems that follow from an operation's form, and those that it names.
func problemsOf(method, path string, op map[string]any) ([]problem, error) {
	list := []problem{of(api.CodeInternalError), of(api.CodeTryAgain)}
	add := func(codes ...api.Code) {
		for _, c := range codes {
			list = append(list, of(c))
		}
	}
	if security, _ := op["security"].([]any); len(security) > 0 {
		add(api.CodeUnauthorized, api.CodeForbidden)
	}
	if strings.Contains(path, "{") {
		add(api.CodeNotFound)
	}
	if slices.Contains([]string{"post", "put", "patch"}, method) {
		list = append(list, problem{http.StatusBadRequest, api.CodeInvalidRequest})
		add(api.CodeInvalidRequest, api.CodeRequestTooLarge, api.CodeUnsupportedMediaType)
	}
	parameters, _ := op["parameters"].([]any)
	if len(parameters) > 0 {
		add(api.CodeInvalidRequest)
	}
	for _, p := range parameters {
		if ref, _ := p.(map[string]any)["$ref"].(string); strings.HasSuffix(ref, "/IdempotencyKey") {
			add(api.CodeKeyReused, api.CodeKeyInUse)
		}
	}
	named, _ := op["x-problems"].([]any)
	for _, v := range named {
		p, err := parse(fmt.Sprint(v))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return append(list, problem{http.StatusTooManyRequests, ""}), nil
}

// of is a code under its own status.
func of(c api.Code) problem { return problem{api.NewProblem(c).Status, c} }

// parse reads a code, or a status and a code.
func parse(s string) (problem, error) {
	status, code, with := strings.Cut(s, " ")
	if !with {
		status, code = "", s
	}
	if !slices.Contains(api.Codes(), api.Code(code)) {
		return problem{}, fmt.Errorf("x-problems: there is no code %q", code)
	}
	if !with {
		return of(api.Code(code)), nil
	}
	n, err := strconv.Atoi(status)
	if err != nil {
		return problem{}, fmt.Errorf("x-problems: %q is no status and code", s)
	}
	return problem{n, api.Code(code)}, nil
}

// byStatus sorts an operation's problems. A status of the gateway alone has no code.
func byStatus(list []problem) map[int][]api.Code {
	out := map[int][]api.Code{}
	for _, p := range list {
		codes := out[p.status]
		if p.code != "" && !slices.Contains(codes, p.code) {
			codes = append(codes, p.code)
		}
		slices.Sort(codes)
		out[p.status] = codes
	}
	return out
}

func responseName(status int, codes []api.Code) string {
	name := "Problem" + strconv.Itoa(status)
	for _, c := range codes {
		for word := range strings.SplitSeq(string(c), "_") {
			name += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return name
}

// response describes the answers of one status: what each code means and what to do.
func response(status int, codes []api.Code) map[string]any {
	var words []string
	media := map[string]any{}
	headers := map[string]any{}
	for _, c := range codes {
		p := api.NewProblem(c)
		words = append(words, fmt.Sprintf("`%s`: %s. %s", c, p.Title, p.Detail))
	}
	if len(codes) > 0 {
		media["application/problem+json"] = map[string]any{"schema": ref("Problem")}
		headers["X-Request-Id"] = header("Names the request in logs. Answers of the gateway's own have `apigw-requestid` in its place.")
	}
	if byGateway(status) {
		media["application/json"] = map[string]any{"schema": ref("GatewayAnswer")}
		words = append(words, "The gateway answers by itself: "+gatewayWords(status))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || slices.Contains(codes, api.CodeKeyInUse) {
		headers["Retry-After"] = header("After how many seconds to try again; not in answers of the gateway's own.")
	}
	out := map[string]any{"description": strings.Join(words, "\n\n"), "content": media, "x-codes": codes}
	if codes == nil {
		out["x-codes"] = []api.Code{}
	}
	if len(headers) > 0 {
		out["headers"] = headers
	}
	return out
}

func gatewayWords(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "the token is missing, expired, or of another issuer."
	case http.StatusForbidden:
		return "the token lacks the scope of this route."
	case http.StatusNotFound:
		return "no route has such a path and method."
	case http.StatusRequestEntityTooLarge:
		return "the body is larger than the gateway takes at all."
	case http.StatusTooManyRequests:
		return "too many requests of all callers at once. Try again, later each time."
	default:
		return "the function gave no answer. Try again, later each time, with the same Idempotency-Key."
	}
}

func ref(schema string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + schema}
}

func header(description string) map[string]any {
	return map[string]any{"description": description, "schema": map[string]any{"type": "string"}}
}

// codeTable is every code with its status, whose fault it is, and what to do.
func codeTable() []map[string]any {
	var out []map[string]any
	for _, c := range api.Codes() {
		p := api.NewProblem(c)
		out = append(out, map[string]any{"code": c, "status": p.Status, "fault_domain": p.FaultDomain, "title": p.Title, "what_to_do": p.Detail})
	}
	slices.SortFunc(out, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a["code"]), fmt.Sprint(b["code"])) })
	return out
}
