// Command go-templates renders claims templates like the id_token mutator of Oathkeeper.
//
// It writes the settings of the comparison, GO_TEMPLATES_SEED and GO_TEMPLATES_SECONDS, as one line of JSON. Then it
// reads one JSON object per line, {"template", "session"}, and writes one per line: the rendered bytes, and the claims or
// the stage that failed. Run it with TZ=UTC.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"text/template"

	"github.com/Masterminds/sprig/v3"

	"claimsmith/tests/peers/go-templates/authn"
)

type question struct {
	Template string                      `json:"template"`
	Session  authn.AuthenticationSession `json:"session"`
}

type answer struct {
	// Text is what the template wrote, in base64.
	Text   []byte                 `json:"text"`
	Claims map[string]interface{} `json:"claims"`
	// Stage is "parse", "execute" or "decode" if that failed.
	Stage string `json:"stage,omitempty"`
	Error string `json:"error,omitempty"`
}

// settings are what the comparison needs of the environment.
type settings struct {
	Seed    uint64 `json:"seed"`
	Seconds uint64 `json:"seconds"`
	// Count is the most templates.
	Count uint64 `json:"count"`
}

func variable(name string, usual uint64) uint64 {
	number, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return usual
	}
	return number
}

func printAny(value interface{}) string {
	if value == nil {
		return ""
	}
	return fmt.Sprintf("%v", value)
}

func printIndex(list interface{}, index int) string {
	if list == nil {
		return ""
	}
	items := reflect.ValueOf(list)
	if items.Kind() != reflect.Slice || index >= items.Len() {
		return ""
	}
	return fmt.Sprintf("%v", items.Index(index))
}

func render(asked *question) (given answer) {
	parsed, err := template.New("claims").
		Option("missingkey=zero").
		Funcs(template.FuncMap{"print": printAny, "printIndex": printIndex}).
		Funcs(sprig.TxtFuncMap()).
		Parse(asked.Template)
	if err != nil {
		return answer{Stage: "parse", Error: err.Error()}
	}
	// The HTTP server of Oathkeeper recovers from panics, too.
	defer func() {
		if reason := recover(); reason != nil {
			given = answer{Stage: "execute", Error: fmt.Sprint(reason)}
		}
	}()
	var text bytes.Buffer
	if err := parsed.Execute(&text, &asked.Session); err != nil {
		return answer{Stage: "execute", Error: err.Error()}
	}
	var claims map[string]interface{}
	if err := json.Unmarshal(text.Bytes(), &claims); err != nil {
		return answer{Text: text.Bytes(), Stage: "decode", Error: err.Error()}
	}
	if claims == nil {
		return answer{Text: text.Bytes(), Stage: "decode", Error: "null"}
	}
	return answer{Text: text.Bytes(), Claims: claims}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	start := settings{
		Seed:    variable("GO_TEMPLATES_SEED", 1),
		Seconds: variable("GO_TEMPLATES_SECONDS", 60),
		Count:   variable("GO_TEMPLATES_COUNT", math.MaxInt64),
	}
	if err := encoder.Encode(start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out.Flush()
	for lines.Scan() {
		var asked question
		given := answer{Stage: "session"}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			given.Error = err.Error()
		} else {
			given = render(&asked)
		}
		if err := encoder.Encode(given); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Flush(); err != nil {
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
