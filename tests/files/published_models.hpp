// Published models: the fields of their configuration that say how large they are, and what must
// come out. Facts, by the name of the model; what must come out was not computed by the code under
// test: `parameters` are the totals that the models' pages state (a table that is tied counts once,
// also where a file has it twice) or that follow by hand from the matrices of the family, those of
// the least common ones written out in numbers; state is heads x sizes x layers in numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mais::files {

struct PublishedModel {
  std::string_view name;
  std::string_view config;  // ' stands for "
  std::int64_t parameters;
  std::int64_t per_token = 0;         // elements of state that layers without window keep
  std::int64_t per_window_token = 0;  // the same of layers with one
  std::optional<std::int64_t> window{};
  std::int64_t fixed_bytes = 0;  // for each sequence: recurrent or cross state, f16
};

// The text of a configuration as it is published.
inline std::string quoted(std::string_view config) {
  std::string json(config);
  std::replace(json.begin(), json.end(), '\'', '"');
  return json;
}

inline constexpr PublishedModel kPublishedModels[] = {
    // Multi-head attention.
    {"meta-llama/Llama-2-7b",
     "{'model_type':'llama','hidden_size':4096,'intermediate_size':11008,'num_hidden_layers':32,"
     "'num_attention_heads':32,'vocab_size':32000}",
     6'738'415'616, 2 * 32 * 32 * 128},
    {"openai-community/gpt2",
     "{'model_type':'gpt2','n_embd':768,'n_layer':12,'n_head':12,'n_positions':1024,"
     "'vocab_size':50257}",
     124'439'808, 2 * 12 * 12 * 64},
    {"EleutherAI/gpt-j-6b",
     "{'model_type':'gptj','n_embd':4096,'n_layer':28,'n_head':16,'n_positions':2048,"
     "'vocab_size':50400,'tie_word_embeddings':false}",
     6'050'882'784, 2 * 28 * 16 * 256},
    {"EleutherAI/pythia-6.9b",
     "{'model_type':'gpt_neox','hidden_size':4096,'intermediate_size':16384,"
     "'num_hidden_layers':32,'num_attention_heads':32,'vocab_size':50432}",
     6'857'302'016, 2 * 32 * 32 * 128},
    {"facebook/opt-6.7b",
     "{'model_type':'opt','hidden_size':4096,'ffn_dim':16384,'num_hidden_layers':32,"
     "'num_attention_heads':32,'vocab_size':50272,'max_position_embeddings':2048,"
     "'word_embed_proj_dim':4096}",
     6'658'473'984, 2 * 32 * 32 * 128},
    {"bigscience/bloom-7b1",
     "{'model_type':'bloom','hidden_size':4096,'n_layer':30,'num_attention_heads':32,"
     "'vocab_size':250880}",
     7'069'016'064, 2 * 30 * 32 * 128},
    {"mosaicml/mpt-7b",
     "{'model_type':'mpt','d_model':4096,'n_layers':32,'n_heads':32,'vocab_size':50432,"
     "'expansion_ratio':4,'no_bias':true,'max_seq_len':2048,'attn_config':{'alibi':true}}",
     6'649'286'656, 2 * 32 * 32 * 128},
    {"microsoft/phi-2",
     "{'model_type':'phi','hidden_size':2560,'intermediate_size':10240,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':32,'vocab_size':51200}",
     2'779'683'840, 2 * 32 * 32 * 80},
    {"microsoft/Phi-3-mini-4k-instruct: a window in every layer",
     "{'model_type':'phi3','hidden_size':3072,'intermediate_size':8192,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':32,'vocab_size':32064,"
     "'sliding_window':2047}",
     3'821'079'552, 0, 2 * 32 * 32 * 96, 2047},
    {"stabilityai/stablelm-2-1_6b",
     "{'model_type':'stablelm','hidden_size':2048,'intermediate_size':5632,"
     "'num_hidden_layers':24,'num_attention_heads':32,'num_key_value_heads':32,"
     "'vocab_size':100352,'use_qkv_bias':true,'tie_word_embeddings':false}",
     1'644'515'328, 2 * 24 * 32 * 64},
    {"allenai/OLMo-2-1124-7B",
     "{'model_type':'olmo2','hidden_size':4096,'intermediate_size':11008,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':32,'vocab_size':100352,"
     "'attention_bias':false}",
     7'298'617'344, 2 * 32 * 32 * 128},

    // Multi-query attention.
    {"tiiuae/falcon-7b",
     "{'model_type':'falcon','hidden_size':4544,'num_hidden_layers':32,'num_attention_heads':71,"
     "'multi_query':true,'parallel_attn':true,'bias':false,'new_decoder_architecture':false,"
     "'vocab_size':65024}",
     6'921'720'704, 2 * 32 * 1 * 64},
    {"bigcode/starcoder",
     "{'model_type':'gpt_bigcode','n_embd':6144,'n_layer':40,'n_head':48,'n_positions':8192,"
     "'n_inner':24576,'multi_query':true,'vocab_size':49152}",
     15'517'456'384, 2 * 40 * 1 * 128},
    {"google/gemma-2b",
     "{'model_type':'gemma','hidden_size':2048,'intermediate_size':16384,'num_hidden_layers':18,"
     "'num_attention_heads':8,'num_key_value_heads':1,'head_dim':256,'vocab_size':256000}",
     2'506'172'416, 2 * 18 * 1 * 256},

    // Grouped-query attention.
    {"meta-llama/Llama-3.1-8B",
     "{'model_type':'llama','hidden_size':4096,'intermediate_size':14336,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':8,'vocab_size':128256,"
     "'max_position_embeddings':131072,'tie_word_embeddings':false,'torch_dtype':'bfloat16'}",
     8'030'261'248, 2 * 32 * 8 * 128},
    {"meta-llama/Llama-3.1-70B",
     "{'model_type':'llama','hidden_size':8192,'intermediate_size':28672,'num_hidden_layers':80,"
     "'num_attention_heads':64,'num_key_value_heads':8,'vocab_size':128256}",
     70'553'706'496, 2 * 80 * 8 * 128},
    {"meta-llama/Llama-3.2-1B: tied, explicit head size",
     "{'model_type':'llama','hidden_size':2048,'intermediate_size':8192,'num_hidden_layers':16,"
     "'num_attention_heads':32,'num_key_value_heads':8,'head_dim':64,'vocab_size':128256,"
     "'tie_word_embeddings':true}",
     1'235'814'400, 2 * 16 * 8 * 64},
    {"Qwen/Qwen2.5-7B",
     "{'model_type':'qwen2','hidden_size':3584,'intermediate_size':18944,'num_hidden_layers':28,"
     "'num_attention_heads':28,'num_key_value_heads':4,'vocab_size':152064,"
     "'use_sliding_window':false,'sliding_window':131072,'max_window_layers':28,"
     "'tie_word_embeddings':false}",
     7'615'616'512, 2 * 28 * 4 * 128},
    {"Qwen/Qwen2.5-0.5B: tied",
     "{'model_type':'qwen2','hidden_size':896,'intermediate_size':4864,'num_hidden_layers':24,"
     "'num_attention_heads':14,'num_key_value_heads':2,'vocab_size':151936,"
     "'tie_word_embeddings':true}",
     494'032'768, 2 * 24 * 2 * 64},
    {"tiiuae/falcon-40b",
     "{'model_type':'falcon','hidden_size':8192,'num_hidden_layers':60,'num_attention_heads':128,"
     "'num_kv_heads':8,'new_decoder_architecture':true,'parallel_attn':true,'bias':false,"
     "'vocab_size':65024}",
     65024LL * 8192 +
         60LL * (8192LL * (8192 + 2 * 8 * 64) + 8192LL * 8192 + 2LL * 4 * 8192 * 8192 + 4 * 8192) +
         2 * 8192,
     2 * 60 * 8 * 64},
    {"CohereForAI/c4ai-command-r-v01: one norm, tied",
     "{'model_type':'cohere','hidden_size':8192,'intermediate_size':22528,"
     "'num_hidden_layers':40,'num_attention_heads':64,'num_key_value_heads':64,"
     "'vocab_size':256000}",
     34'980'831'232, 2 * 40 * 64 * 128},
    {"ibm-granite/granite-3.1-8b",
     "{'model_type':'granite','hidden_size':4096,'intermediate_size':12800,"
     "'num_hidden_layers':40,'num_attention_heads':32,'num_key_value_heads':8,"
     "'vocab_size':49155,'tie_word_embeddings':true}",
     49155LL * 4096 +
         40LL * (2LL * 4096 * 4096 + 2LL * 4096 * 1024 + 3LL * 4096 * 12800 + 2 * 4096) + 4096,
     2 * 40 * 8 * 128},
    {"nvidia/Minitron-8B-Base: two matrices in the feed-forward part",
     "{'model_type':'nemotron','hidden_size':4096,'intermediate_size':16384,"
     "'num_hidden_layers':32,'num_attention_heads':48,'num_key_value_heads':8,'head_dim':128,"
     "'vocab_size':256000,'tie_word_embeddings':false}",
     2LL * 256000 * 4096 +
         32LL * (4096LL * 6144 * 2 + 2LL * 4096 * 1024 + 2LL * 4096 * 16384 + 4 * 4096) + 2 * 4096,
     2 * 32 * 8 * 128},

    // Heads of a size that width / heads does not give.
    {"google/gemma-7b",
     "{'model_type':'gemma','hidden_size':3072,'intermediate_size':24576,'num_hidden_layers':28,"
     "'num_attention_heads':16,'num_key_value_heads':16,'head_dim':256,'vocab_size':256000}",
     8'537'680'896, 2 * 28 * 16 * 256},
    {"Qwen/Qwen3-8B",
     "{'model_type':'qwen3','hidden_size':4096,'intermediate_size':12288,'num_hidden_layers':36,"
     "'num_attention_heads':32,'num_key_value_heads':8,'head_dim':128,'vocab_size':151936,"
     "'tie_word_embeddings':false,'attention_bias':false}",
     8'190'735'360, 2 * 36 * 8 * 128},
    {"Qwen/Qwen3-0.6B",
     "{'model_type':'qwen3','hidden_size':1024,'intermediate_size':3072,'num_hidden_layers':28,"
     "'num_attention_heads':16,'num_key_value_heads':8,'head_dim':128,'vocab_size':151936,"
     "'tie_word_embeddings':true}",
     596'049'920, 2 * 28 * 8 * 128},
    {"mistralai/Mistral-Nemo-Base-2407",
     "{'model_type':'mistral','hidden_size':5120,'intermediate_size':14336,"
     "'num_hidden_layers':40,'num_attention_heads':32,'num_key_value_heads':8,'head_dim':128,"
     "'vocab_size':131072,'sliding_window':null}",
     12'247'782'400, 2 * 40 * 8 * 128},

    // Sliding windows, in all layers or in some.
    {"mistralai/Mistral-7B-v0.1",
     "{'model_type':'mistral','hidden_size':4096,'intermediate_size':14336,"
     "'num_hidden_layers':32,'num_attention_heads':32,'num_key_value_heads':8,"
     "'vocab_size':32000,'sliding_window':4096}",
     7'241'732'096, 0, 2 * 32 * 8 * 128, 4096},
    {"google/gemma-2-9b: every second layer",
     "{'model_type':'gemma2','hidden_size':3584,'intermediate_size':14336,"
     "'num_hidden_layers':42,'num_attention_heads':16,'num_key_value_heads':8,'head_dim':256,"
     "'vocab_size':256000,'sliding_window':4096}",
     9'241'705'984, 2 * 21 * 8 * 256, 2 * 21 * 8 * 256, 4096},
    {"google/gemma-3-1b-it: five of six layers",
     "{'model_type':'gemma3_text','hidden_size':1152,'intermediate_size':6912,"
     "'num_hidden_layers':26,'num_attention_heads':4,'num_key_value_heads':1,'head_dim':256,"
     "'vocab_size':262144,'sliding_window':512,'sliding_window_pattern':6}",
     999'885'952, 2 * 4 * 1 * 256, 2 * 22 * 1 * 256, 512},
    {"CohereForAI/c4ai-command-r7b-12-2024: three of four layers",
     "{'model_type':'cohere2','hidden_size':4096,'intermediate_size':14336,"
     "'num_hidden_layers':32,'num_attention_heads':32,'num_key_value_heads':8,'head_dim':128,"
     "'vocab_size':256000,'sliding_window':4096,'sliding_window_pattern':4}",
     8'028'033'024, 2 * 8 * 8 * 128, 2 * 24 * 8 * 128, 4096},
    {"bigcode/starcoder2-7b",
     "{'model_type':'starcoder2','hidden_size':4608,'intermediate_size':18432,"
     "'num_hidden_layers':32,'num_attention_heads':36,'num_key_value_heads':4,"
     "'vocab_size':49152,'use_bias':true,'sliding_window':4096}",
     7'173'923'840, 0, 2 * 32 * 4 * 128, 4096},

    // Mixtures of experts.
    {"mistralai/Mixtral-8x7B-v0.1",
     "{'model_type':'mixtral','hidden_size':4096,'intermediate_size':14336,"
     "'num_hidden_layers':32,'num_attention_heads':32,'num_key_value_heads':8,"
     "'num_local_experts':8,'num_experts_per_tok':2,'vocab_size':32000,'sliding_window':null}",
     46'702'792'704, 2 * 32 * 8 * 128},
    {"Qwen/Qwen3-30B-A3B",
     "{'model_type':'qwen3_moe','hidden_size':2048,'intermediate_size':6144,"
     "'moe_intermediate_size':768,'num_hidden_layers':48,'num_attention_heads':32,"
     "'num_key_value_heads':4,'head_dim':128,'num_experts':128,'num_experts_per_tok':8,"
     "'decoder_sparse_step':1,'mlp_only_layers':[],'vocab_size':151936}",
     30'532'122'624, 2 * 48 * 4 * 128},
    {"Qwen/Qwen1.5-MoE-A2.7B: shared experts",
     "{'model_type':'qwen2_moe','hidden_size':2048,'intermediate_size':5632,"
     "'moe_intermediate_size':1408,'shared_expert_intermediate_size':5632,"
     "'num_hidden_layers':24,'num_attention_heads':16,'num_key_value_heads':16,"
     "'num_experts':60,'num_experts_per_tok':4,'vocab_size':151936}",
     14'315'784'192, 2 * 24 * 16 * 128},
    {"microsoft/Phi-3.5-MoE-instruct",
     "{'model_type':'phimoe','hidden_size':4096,'intermediate_size':6400,"
     "'num_hidden_layers':32,'num_attention_heads':32,'num_key_value_heads':8,"
     "'num_local_experts':16,'num_experts_per_tok':2,'attention_bias':true,"
     "'lm_head_bias':true,'vocab_size':32064,'tie_word_embeddings':false}",
     41'873'153'344, 2 * 32 * 8 * 128},
    {"allenai/OLMoE-1B-7B-0924",
     "{'model_type':'olmoe','hidden_size':2048,'intermediate_size':1024,'num_hidden_layers':16,"
     "'num_attention_heads':16,'num_key_value_heads':16,'num_experts':64,"
     "'num_experts_per_tok':8,'vocab_size':50304}",
     6'919'161'856, 2 * 16 * 16 * 128},
    {"openai/gpt-oss-20b: windows, sinks and biased experts",
     "{'model_type':'gpt_oss','hidden_size':2880,'intermediate_size':2880,"
     "'num_hidden_layers':24,'num_attention_heads':64,'num_key_value_heads':8,'head_dim':64,"
     "'num_local_experts':32,'num_experts_per_tok':4,'attention_bias':true,'sliding_window':128,"
     "'vocab_size':201088,'tie_word_embeddings':false}",
     20'914'757'184, 2 * 12 * 8 * 64, 2 * 12 * 8 * 64, 128},

    // Latent attention: 512 compressed and 64 rotary numbers for each token and layer.
    {"deepseek-ai/DeepSeek-V2-Lite",
     "{'model_type':'deepseek_v2','hidden_size':2048,'intermediate_size':10944,"
     "'moe_intermediate_size':1408,'num_hidden_layers':27,'num_attention_heads':16,"
     "'num_key_value_heads':16,'q_lora_rank':null,'kv_lora_rank':512,'qk_nope_head_dim':128,"
     "'qk_rope_head_dim':64,'v_head_dim':128,'n_routed_experts':64,'n_shared_experts':2,"
     "'num_experts_per_tok':6,'first_k_dense_replace':1,'moe_layer_freq':1,'vocab_size':102400}",
     15'706'484'224, 27 * (512 + 64)},
    {"deepseek-ai/DeepSeek-V3, without its prediction layer",
     "{'model_type':'deepseek_v3','hidden_size':7168,'intermediate_size':18432,"
     "'moe_intermediate_size':2048,'num_hidden_layers':61,'num_attention_heads':128,"
     "'num_key_value_heads':128,'q_lora_rank':1536,'kv_lora_rank':512,'qk_nope_head_dim':128,"
     "'qk_rope_head_dim':64,'v_head_dim':128,'n_routed_experts':256,'n_shared_experts':1,"
     "'num_experts_per_tok':8,'first_k_dense_replace':3,'moe_layer_freq':1,"
     "'num_nextn_predict_layers':1,'vocab_size':129280}",
     671'026'419'200, 61 * (512 + 64)},

    // State space, and hybrids. Recurrent state is kept in 32 bits, the convolution's in 16.
    {"state-spaces/mamba-130m-hf",
     "{'model_type':'mamba','hidden_size':768,'num_hidden_layers':24,'state_size':16,'expand':2,"
     "'intermediate_size':1536,'conv_kernel':4,'time_step_rank':48,'vocab_size':50280,"
     "'use_bias':false,'use_conv_bias':true,'tie_word_embeddings':true}",
     129'135'360,
     0,
     0,
     {},
     24 * 1536 * (16 * 4 + 4 * 2)},
    {"tiiuae/falcon-mamba-7b",
     "{'model_type':'falcon_mamba','hidden_size':4096,'num_hidden_layers':64,'state_size':16,"
     "'expand':2,'intermediate_size':8192,'conv_kernel':4,'time_step_rank':256,"
     "'vocab_size':65024,'tie_word_embeddings':false}",
     7'272'665'088,
     0,
     0,
     {},
     64 * 8192 * (16 * 4 + 4 * 2)},
    {"mistralai/Mamba-Codestral-7B-v0.1",
     "{'model_type':'mamba2','hidden_size':4096,'num_hidden_layers':64,'state_size':128,"
     "'expand':2,'conv_kernel':4,'num_heads':128,'head_dim':64,'n_groups':8,'vocab_size':32768,"
     "'time_step_limit':[0.0,Infinity],'tie_word_embeddings':false}",
     7'285'403'648,
     0,
     0,
     {},
     64LL * (8192 * 128 * 4 + (8192 + 2 * 8 * 128) * 4 * 2)},
    {"ai21labs/Jamba-v0.1",
     "{'model_type':'jamba','hidden_size':4096,'intermediate_size':14336,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':8,'attn_layer_period':8,"
     "'attn_layer_offset':4,'expert_layer_period':2,'expert_layer_offset':1,'num_experts':16,"
     "'num_experts_per_tok':2,'mamba_d_state':16,'mamba_d_conv':4,'mamba_expand':2,"
     "'mamba_dt_rank':256,'vocab_size':65536,'tie_word_embeddings':false}",
     51'570'323'328,
     2 * 4 * 8 * 128,
     0,
     {},
     28 * 8192 * (16 * 4 + 4 * 2)},
    {"ibm-ai-platform/Bamba-9B-v1",
     "{'model_type':'bamba','hidden_size':4096,'intermediate_size':14336,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':8,'attn_layer_indices':[9,18,27],"
     "'mamba_d_state':128,'mamba_d_conv':4,'mamba_expand':2,'mamba_n_heads':128,"
     "'mamba_n_groups':1,'vocab_size':128256,'tie_word_embeddings':false}",
     2LL * 128256 * 4096 + 4096 + 32LL * (3LL * 4096 * 14336 + 2 * 4096) +
         3LL * (2LL * 4096 * 4096 + 2LL * 4096 * 1024) +
         29LL * (4096LL * (2 * 8192 + 2 * 128 + 128) + (8192 + 2 * 128) * 5 + 3 * 128 + 8192 +
                 8192LL * 4096),
     2 * 3 * 8 * 128,
     0,
     {},
     29LL * (8192 * 128 * 4 + (8192 + 2 * 128) * 4 * 2)},
    {"Qwen/Qwen3-Next-80B-A3B: linear attention in three of four layers",
     "{'model_type':'qwen3_next','hidden_size':2048,'intermediate_size':5120,"
     "'num_hidden_layers':48,'num_attention_heads':16,'num_key_value_heads':2,'head_dim':256,"
     "'full_attention_interval':4,'linear_conv_kernel_dim':4,'linear_key_head_dim':128,"
     "'linear_num_key_heads':16,'linear_num_value_heads':32,'linear_value_head_dim':128,"
     "'moe_intermediate_size':512,'shared_expert_intermediate_size':512,'num_experts':512,"
     "'num_experts_per_tok':10,'vocab_size':151936,'tie_word_embeddings':false}",
     2LL * 151936 * 2048 + 2048 + 48LL * (2 * 2048 + 2048LL * 512 + 513LL * 3 * 2048 * 512 + 2048) +
         12LL * (2048LL * 2 * 4096 + 2LL * 2048 * 512 + 4096LL * 2048 + 2 * 256) +
         36LL * (2048LL * (2 * 2048 + 2 * 4096) + 2048LL * 64 + 8192 * 4 + 32 + 32 + 128 +
                 4096LL * 2048),
     2 * 12 * 2 * 256,
     0,
     {},
     36LL * (32 * 128 * 128 * 4 + 8192 * 4 * 2)},

    // Encoders: no state.
    {"google-bert/bert-base-uncased",
     "{'model_type':'bert','hidden_size':768,'intermediate_size':3072,'num_hidden_layers':12,"
     "'num_attention_heads':12,'vocab_size':30522,'max_position_embeddings':512,"
     "'type_vocab_size':2}",
     109'482'240},
    {"FacebookAI/xlm-roberta-large",
     "{'model_type':'xlm-roberta','hidden_size':1024,'intermediate_size':4096,"
     "'num_hidden_layers':24,'num_attention_heads':16,'vocab_size':250002,"
     "'max_position_embeddings':514,'type_vocab_size':1}",
     559'890'432},
    {"distilbert/distilbert-base-uncased",
     "{'model_type':'distilbert','dim':768,'hidden_dim':3072,'n_layers':6,'n_heads':12,"
     "'vocab_size':30522,'max_position_embeddings':512}",
     66'362'880},
    {"answerdotai/ModernBERT-base",
     "{'model_type':'modernbert','hidden_size':768,'intermediate_size':1152,"
     "'num_hidden_layers':22,'num_attention_heads':12,'vocab_size':50368,"
     "'max_position_embeddings':8192,'local_attention':128,'global_attn_every_n_layers':3}",
     149'014'272},

    // Pairs of encoder and decoder: keys and values of the input are kept for each sequence.
    {"google-t5/t5-small",
     "{'model_type':'t5','d_model':512,'d_kv':64,'d_ff':2048,'num_layers':6,'num_heads':8,"
     "'n_positions':512,'relative_attention_num_buckets':32,'vocab_size':32128}",
     60'506'624,
     2 * 6 * 8 * 64,
     0,
     {},
     512 * 2LL * 6 * 8 * 64 * 2},
    {"google/flan-t5-xl: gated, not tied",
     "{'model_type':'t5','d_model':2048,'d_kv':64,'d_ff':5120,'num_layers':24,"
     "'num_decoder_layers':24,'num_heads':32,'n_positions':512,"
     "'feed_forward_proj':'gated-gelu','tie_word_embeddings':false,'vocab_size':32128}",
     2'849'757'184,
     2 * 24 * 32 * 64,
     0,
     {},
     512 * 2LL * 24 * 32 * 64 * 2},
    {"facebook/bart-large",
     "{'model_type':'bart','d_model':1024,'encoder_layers':12,'decoder_layers':12,"
     "'encoder_attention_heads':16,'decoder_attention_heads':16,'encoder_ffn_dim':4096,"
     "'decoder_ffn_dim':4096,'max_position_embeddings':1024,'vocab_size':50265}",
     406'291'456,
     2 * 12 * 16 * 64,
     0,
     {},
     1024 * 2LL * 12 * 16 * 64 * 2},
    {"openai/whisper-tiny",
     "{'model_type':'whisper','d_model':384,'encoder_layers':4,'decoder_layers':4,"
     "'encoder_attention_heads':6,'decoder_attention_heads':6,'encoder_ffn_dim':1536,"
     "'decoder_ffn_dim':1536,'num_mel_bins':80,'max_source_positions':1500,"
     "'max_target_positions':448,'vocab_size':51865}",
     37'760'640,
     2 * 4 * 6 * 64,
     0,
     {},
     1500 * 2LL * 4 * 6 * 64 * 2},
    {"openai/whisper-large-v3",
     "{'model_type':'whisper','d_model':1280,'encoder_layers':32,'decoder_layers':32,"
     "'encoder_attention_heads':20,'decoder_attention_heads':20,'encoder_ffn_dim':5120,"
     "'decoder_ffn_dim':5120,'num_mel_bins':128,'max_source_positions':1500,"
     "'max_target_positions':448,'vocab_size':51866}",
     1'543'490'560,
     2 * 32 * 20 * 64,
     0,
     {},
     1500 * 2LL * 32 * 20 * 64 * 2},

    // Vision towers and projectors.
    {"openai/clip-vit-large-patch14",
     "{'model_type':'clip','projection_dim':768,"
     "'text_config':{'hidden_size':768,'intermediate_size':3072,'num_attention_heads':12,"
     "'num_hidden_layers':12,'vocab_size':49408,'max_position_embeddings':77},"
     "'vision_config':{'hidden_size':1024,'intermediate_size':4096,'num_attention_heads':16,"
     "'num_hidden_layers':24,'image_size':224,'patch_size':14}}",
     427'616'513},
    {"google/vit-base-patch16-224-in21k",
     "{'model_type':'vit','hidden_size':768,'intermediate_size':3072,'num_hidden_layers':12,"
     "'num_attention_heads':12,'image_size':224,'patch_size':16}",
     86'389'248},
    {"llava-hf/llava-1.5-7b-hf",
     "{'model_type':'llava','text_config':{'model_type':'llama','hidden_size':4096,"
     "'intermediate_size':11008,'num_hidden_layers':32,'num_attention_heads':32,"
     "'vocab_size':32064},'vision_config':{'model_type':'clip_vision_model','hidden_size':1024,"
     "'intermediate_size':4096,'num_attention_heads':16,'num_hidden_layers':24,'image_size':336,"
     "'patch_size':14}}",
     7'063'427'072, 2 * 32 * 32 * 128},
    {"google/paligemma-3b-pt-224",
     "{'model_type':'paligemma','text_config':{'model_type':'gemma','hidden_size':2048,"
     "'intermediate_size':16384,'num_hidden_layers':18,'num_attention_heads':8,"
     "'num_key_value_heads':1,'head_dim':256,'vocab_size':257216},'vision_config':{"
     "'model_type':'siglip_vision_model','hidden_size':1152,'intermediate_size':4304,"
     "'num_attention_heads':16,'num_hidden_layers':27,'image_size':224,'patch_size':14}}",
     2'923'466'480, 2 * 18 * 1 * 256},
    {"google/gemma-3-4b-it",
     "{'model_type':'gemma3','text_config':{'model_type':'gemma3_text','hidden_size':2560,"
     "'intermediate_size':10240,'num_hidden_layers':34,'sliding_window':1024},'vision_config':{"
     "'model_type':'siglip_vision_model','hidden_size':1152,'intermediate_size':4304,"
     "'num_attention_heads':16,'num_hidden_layers':27,'image_size':896,'patch_size':14}}",
     4'300'079'472, 2 * 5 * 4 * 256, 2 * 29 * 4 * 256, 1024},
    {"Qwen/Qwen2-VL-7B-Instruct",
     "{'model_type':'qwen2_vl','hidden_size':3584,'intermediate_size':18944,"
     "'num_hidden_layers':28,'num_attention_heads':28,'num_key_value_heads':4,"
     "'vocab_size':152064,'tie_word_embeddings':false,'vision_config':{'embed_dim':1280,"
     "'depth':32,'num_heads':16,'mlp_ratio':4,'patch_size':14,'spatial_merge_size':2}}",
     8'291'375'616, 2 * 28 * 4 * 128},
    {"Qwen/Qwen2.5-VL-7B-Instruct",
     "{'model_type':'qwen2_5_vl','hidden_size':3584,'intermediate_size':18944,"
     "'num_hidden_layers':28,'num_attention_heads':28,'num_key_value_heads':4,"
     "'vocab_size':152064,'vision_config':{'hidden_size':1280,'intermediate_size':3420,"
     "'depth':32,'num_heads':16,'patch_size':14,'spatial_merge_size':2}}",
     8'292'166'656, 2 * 28 * 4 * 128},
    {"mistral-community/pixtral-12b",
     "{'model_type':'llava','text_config':{'model_type':'mistral','hidden_size':5120,"
     "'intermediate_size':14336,'num_hidden_layers':40,'num_attention_heads':32,"
     "'num_key_value_heads':8,'head_dim':128,'vocab_size':131072,'sliding_window':null},"
     "'vision_config':{'model_type':'pixtral','hidden_size':1024,'intermediate_size':4096,"
     "'num_attention_heads':16,'num_hidden_layers':24,'image_size':1024,'patch_size':16}}",
     12'682'739'712, 2 * 40 * 8 * 128},

    // Experts and attention within chunks, with vision.
    {"meta-llama/Llama-4-Scout-17B-16E",
     "{'model_type':'llama4','text_config':{'model_type':'llama4_text','hidden_size':5120,"
     "'intermediate_size':8192,'intermediate_size_mlp':16384,'num_hidden_layers':48,"
     "'num_attention_heads':40,'num_key_value_heads':8,'head_dim':128,'num_local_experts':16,"
     "'num_experts_per_tok':1,'interleave_moe_layer_step':1,'attention_chunk_size':8192,"
     "'vocab_size':202048,'tie_word_embeddings':false},'vision_config':{"
     "'model_type':'llama4_vision_model','hidden_size':1408,'intermediate_size':5632,"
     "'num_attention_heads':16,'num_hidden_layers':34,'image_size':336,'patch_size':14,"
     "'projector_input_dim':4096,'projector_output_dim':4096,'vision_output_dim':4096}}",
     108'641'793'536, 2 * 12 * 8 * 128, 2 * 36 * 8 * 128, 8192},
    {"meta-llama/Llama-4-Maverick-17B-128E",
     "{'model_type':'llama4','text_config':{'model_type':'llama4_text','hidden_size':5120,"
     "'intermediate_size':8192,'intermediate_size_mlp':16384,'num_hidden_layers':48,"
     "'num_attention_heads':40,'num_key_value_heads':8,'head_dim':128,'num_local_experts':128,"
     "'num_experts_per_tok':1,'interleave_moe_layer_step':2,'attention_chunk_size':8192,"
     "'vocab_size':202048,'tie_word_embeddings':false},'vision_config':{"
     "'model_type':'llama4_vision_model','hidden_size':1408,'intermediate_size':5632,"
     "'num_attention_heads':16,'num_hidden_layers':34,'image_size':336,'patch_size':14,"
     "'projector_input_dim':4096,'projector_output_dim':4096,'vision_output_dim':4096}}",
     401'583'781'376, 2 * 12 * 8 * 128, 2 * 36 * 8 * 128, 8192},
};

}  // namespace mais::files
