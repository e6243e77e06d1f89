// The numbers that change from step to step, as Context::publish_step lays them out.
#pragma once
#include "prelude.cuh"

struct StepScalars {
    unsigned long long step, seed;
    float learning_rate;
};
