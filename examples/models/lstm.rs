//! Writes like Cicero: an LSTM, and the first book of *De finibus bonorum et malorum*.
//!
//! All weights are *one* flat slice, with gradients to match.

pub(crate) const WINDOW: usize = 64;

/// Characters as indices into their alphabet.
pub(crate) struct Text {
    pub(crate) alphabet: Vec<char>,
    pub(crate) train: Vec<usize>,
    pub(crate) test: Vec<usize>,
}

impl Text {
    /// The first book of *De finibus bonorum et malorum*, of which the last tenth is held out. Line breaks are
    /// the printer's and not the author's.
    pub(crate) fn load() -> Self {
        let text: Vec<char> =
            lipsum::LIBER_PRIMUS.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
        let mut alphabet = text.clone();
        alphabet.sort_unstable();
        alphabet.dedup();
        let mut train: Vec<usize> =
            text.iter().map(|char| alphabet.partition_point(|other| other < char)).collect();
        let test = train.split_off(train.len() * 9 / 10);
        Self { alphabet, train, test }
    }
}

/// The shape of a network with one layer of cells. Its parameters are two matrices, one behind the other:
/// `gates`, with a row for each character, for each hidden unit and for the bias, and four neighboring columns
/// for each hidden unit; `output`, with a row for each hidden unit and for the bias, and a column for each
/// character.
pub(crate) struct Lstm {
    pub(crate) vocab: usize,
    pub(crate) hidden: usize,
}

/// What a network remembers from one character to the next.
pub(crate) struct State {
    cell: Vec<f32>,
    hidden: Vec<f32>,
}

/// All that is known after a character, and needed on the way back.
pub(crate) struct Moment {
    /// Input, forget and output gate, and the candidate for the cell, of each unit.
    gates: Vec<[f32; 4]>,
    pub(crate) state: State,
    /// Of the next character.
    pub(crate) log_probs: Vec<f32>,
}

impl Lstm {
    const fn columns(&self) -> usize {
        4 * self.hidden
    }

    pub(crate) const fn gates_len(&self) -> usize {
        (self.vocab + self.hidden + 1) * self.columns()
    }

    pub(crate) const fn len(&self) -> usize {
        self.gates_len() + (self.hidden + 1) * self.vocab
    }

    pub(crate) fn blank(&self) -> State {
        State { cell: vec![0.0; self.hidden], hidden: vec![0.0; self.hidden] }
    }

    /// Uniform like PyTorch's, but the forget gates begin half open, so that cells remember from the start.
    pub(crate) fn initial_params(&self, rng: &mut fastrand::Rng) -> Vec<f32> {
        let bound = 1.0 / (self.hidden as f32).sqrt();
        let mut params: Vec<f32> = (0..self.len()).map(|_| bound * (2.0 * rng.f32() - 1.0)).collect();
        let bias = self.gates_len() - self.columns()..self.gates_len();
        for [_, forget, _, _] in params[bias].as_chunks_mut().0 {
            *forget = 1.0;
        }
        params
    }

    /// Reads one character.
    pub(crate) fn read(&self, params: &[f32], before: &State, char: usize) -> Moment {
        let (gate_rows, output_rows) = params.split_at(self.gates_len());
        let (char_rows, hidden_rows) = gate_rows.split_at(self.vocab * self.columns());
        let mut gates = vec![[0.0; 4]; self.hidden];
        add_scaled(gates.as_flattened_mut(), 1.0, row(char_rows, char, self.columns()));
        add_dense(hidden_rows, &before.hidden, gates.as_flattened_mut());
        let (cell, hidden): (Vec<f32>, Vec<f32>) = gates
            .iter_mut()
            .zip(&before.cell)
            .map(|(gates, cell)| {
                let [i, f, o, g] = *gates;
                let [i, f, o, g] = [sigmoid(i), sigmoid(f), sigmoid(o), g.tanh()];
                *gates = [i, f, o, g];
                let cell = f * cell + i * g;
                (cell, o * cell.tanh())
            })
            .unzip();
        let mut logits = vec![0.0; self.vocab];
        add_dense(output_rows, &hidden, &mut logits);
        Moment { gates, state: State { cell, hidden }, log_probs: log_softmax(logits) }
    }

    /// Reads a window but its last character, which is only to be predicted.
    fn forward(&self, params: &[f32], window: &[usize]) -> Vec<Moment> {
        let blank = self.blank();
        let mut moments: Vec<Moment> = Vec::with_capacity(window.len());
        for &char in &window[..window.len() - 1] {
            let before = moments.last().map_or(&blank, |moment| &moment.state);
            let moment = self.read(params, before, char);
            moments.push(moment);
        }
        moments
    }

    /// Adds the gradient of a window's loss, summed over its characters, to `grads`; returns that loss.
    ///
    /// Backpropagation through time: from the last character to the first, `hidden_grads` and `cell_grads`
    /// carry what the characters read later make of this moment's state.
    pub(crate) fn add_grads(&self, params: &[f32], window: &[usize], grads: &mut [f32]) -> f64 {
        let moments = self.forward(params, window);
        let (gate_rows, output_rows) = params.split_at(self.gates_len());
        let hidden_rows = &gate_rows[self.vocab * self.columns()..];
        let (gate_row_grads, output_row_grads) = grads.split_at_mut(self.gates_len());
        let (char_row_grads, hidden_row_grads) = gate_row_grads.split_at_mut(self.vocab * self.columns());

        let blank = self.blank();
        let State { cell: mut cell_grads, hidden: mut hidden_grads } = self.blank();
        for (t, moment) in moments.iter().enumerate().rev() {
            let before = if t == 0 { &blank } else { &moments[t - 1].state };
            let mut logit_grads: Vec<f32> = moment.log_probs.iter().copied().map(f32::exp).collect();
            logit_grads[window[t + 1]] -= 1.0;
            add_outer(output_row_grads, &moment.state.hidden, &logit_grads);
            add_transposed(output_rows, &logit_grads, &mut hidden_grads);

            let gate_grads: Vec<[f32; 4]> = (0..self.hidden)
                .map(|unit| {
                    let [i, f, o, g] = moment.gates[unit];
                    let tanh = moment.state.cell[unit].tanh();
                    let hidden_grad = hidden_grads[unit];
                    let cell_grad = cell_grads[unit] + hidden_grad * o * (1.0 - tanh * tanh);
                    cell_grads[unit] = cell_grad * f;
                    [
                        cell_grad * g * i * (1.0 - i),
                        cell_grad * before.cell[unit] * f * (1.0 - f),
                        hidden_grad * tanh * o * (1.0 - o),
                        cell_grad * i * (1.0 - g * g),
                    ]
                })
                .collect();
            let gate_grads = gate_grads.as_flattened();
            add_scaled(row_mut(char_row_grads, window[t], self.columns()), 1.0, gate_grads);
            add_outer(hidden_row_grads, &before.hidden, gate_grads);
            hidden_grads.fill(0.0);
            add_transposed(hidden_rows, gate_grads, &mut hidden_grads);
        }
        summed_loss(&moments, window)
    }

    /// The mean loss over consecutive windows.
    pub(crate) fn evaluate(&self, params: &[f32], text: &[usize]) -> f64 {
        let windows = text.windows(WINDOW + 1).step_by(WINDOW);
        let characters = windows.len() * WINDOW;
        windows.map(|window| summed_loss(&self.forward(params, window), window)).sum::<f64>()
            / characters as f64
    }
}

fn summed_loss(moments: &[Moment], window: &[usize]) -> f64 {
    moments.iter().zip(&window[1..]).map(|(moment, &next)| -f64::from(moment.log_probs[next])).sum()
}

fn row(matrix: &[f32], index: usize, columns: usize) -> &[f32] {
    &matrix[index * columns..][..columns]
}

fn row_mut(matrix: &mut [f32], index: usize, columns: usize) -> &mut [f32] {
    &mut matrix[index * columns..][..columns]
}

fn add_scaled(sums: &mut [f32], scale: f32, row: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(row) {
        *sum += scale * x;
    }
}

/// Adds the outputs of a layer, whose last row is the bias, for an input that is always 1.
fn add_dense(layer: &[f32], inputs: &[f32], outputs: &mut [f32]) {
    for (row, input) in layer.chunks_exact(outputs.len()).zip(inputs.iter().chain(&[1.0])) {
        add_scaled(outputs, *input, row);
    }
}

/// Adds the gradient of a layer: the outer product of inputs and output gradients.
fn add_outer(layer_grads: &mut [f32], inputs: &[f32], output_grads: &[f32]) {
    for (row, input) in layer_grads.chunks_exact_mut(output_grads.len()).zip(inputs.iter().chain(&[1.0])) {
        add_scaled(row, *input, output_grads);
    }
}

/// Adds the gradients of a layer's inputs.
fn add_transposed(layer: &[f32], output_grads: &[f32], input_grads: &mut [f32]) {
    for (row, grad) in layer.chunks_exact(output_grads.len()).zip(input_grads) {
        *grad += dot(row, output_grads);
    }
}

/// Eight sums side by side, as the compiler may not change the order of a single one to use vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.into_iter().chain(a_rest.iter().zip(b_rest).map(|(a, b)| a * b)).sum()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The largest logit is taken off so that `exp` cannot overflow.
fn log_softmax(mut logits: Vec<f32>) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    let log_sum = logits.iter().map(|logit| (logit - largest).exp()).sum::<f32>().ln();
    for logit in &mut logits {
        *logit -= largest + log_sum;
    }
    logits
}
