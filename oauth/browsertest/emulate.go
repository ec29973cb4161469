package browsertest

import (
	"context"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Size makes the viewport so many CSS pixels wide and high.
func (p *Page) Size(width, height int) {
	p.t.Helper()
	p.do("resizing", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(width), Height: int64(height), DeviceScaleFactor: 1,
		})
		return err
	})
}

// Dark says whether the reader prefers a dark page.
func (p *Page) Dark(on bool) { p.t.Helper(); p.setMedia("prefers-color-scheme", on, "dark", "light") }

// ForcedColors says whether the system forces its own colours on pages, as Windows' contrast themes do.
func (p *Page) ForcedColors(on bool) { p.t.Helper(); p.setMedia("forced-colors", on, "active", "none") }

// Print says whether the page is laid out as for paper. Its width stays that of the screen.
func (p *Page) Print(on bool) {
	p.t.Helper()
	p.medium = ""
	if on {
		p.medium = "print"
	}
	p.emulate()
}

func (p *Page) setMedia(feature string, on bool, yes, no string) {
	p.t.Helper()
	p.media[feature] = no
	if on {
		p.media[feature] = yes
	}
	p.emulate()
}

func (p *Page) emulate() {
	p.t.Helper()
	set := emulation.SetEmulatedMediaParams{Media: p.medium}
	for name, value := range p.media {
		set.Features = append(set.Features, &emulation.MediaFeature{Name: name, Value: value})
	}
	p.do("setting media", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, set)
		return err
	})
}

// NoScript says whether the scripts of the next documents are kept from running. The methods of Page work all the same,
// but for Axe.
func (p *Page) NoScript(on bool) {
	p.t.Helper()
	p.do("switching scripts", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: on})
		return err
	})
}
